-- The group by which an activated role is held: it counts for nothing without the membership. Empty where a person is eligible by themselves.
alter table role_assignments add column through text not null default '';
update role_assignments set through = coalesce((select e.principal from grants g join eligibilities e on e.id = g.eligibility
where g.id = role_assignments.id and e.principal <> g.principal), '');
update directory set revision = revision + 1 where id = 1;
