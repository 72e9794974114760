-- Limits hold for all that a principal has of one thing, and not for one grant: site is the machine, or the role and its
-- scope; over_at is when the window ends, or ended early; decided says that people agreed to it.
alter table grants add column decided bigint not null default 0;
alter table grants add column site {text} not null default '';
alter table grants add column over_at bigint not null default 0;

update grants set
    decided = case when exists (select 1 from decisions d where d.request = grants.request and d.approve = 1) then 1 else 0 end,
    site = case when role_scope_key = '' then machine else role || '@' || role_scope_key end,
    over_at = case when ended_at = 0 then end_at else ended_at end;

-- The votes on what people agreed to for later are counted once more when it begins: until then it has no assignment.
delete from role_assignments where id in (
    select g.id from grants g where g.state = 'scheduled' and g.decided = 1 and g.role_scope_key <> '' and g.start_at > g.created_at);

create index grants_windows on grants (principal, site, first_port, over_at);
create index grants_wide_windows on grants (principal, site, over_at) where last_port > first_port;
