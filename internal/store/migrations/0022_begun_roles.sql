-- The role that was activated for later is assigned when it begins, once it was looked whether it would still be approved.
delete from role_assignments where id in (select g.id from grants g where g.state = 'scheduled' and g.role_scope_key <> '');
update directory set revision = revision + 1 where id = 1;
