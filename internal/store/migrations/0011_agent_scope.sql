-- Where an agent enrolled, and what became of one that another replaced. Names are unique in a resource group.
drop index agents_name;
alter table agents add column scope {text} not null default '';
alter table agents add column scope_key {text} not null default '';
alter table agents add column successor {text} not null default '';
alter table agents add column holds_until bigint not null default 0;
alter table agents add column predecessors {text} not null default '[]';

-- An agent that is there already lies where its machines do. Where they lie in several resource groups, or it has none, nobody
-- knows, and it counts as the tenant's as a whole.
-- only sqlite:
update agents set scope = (select substr(min(m.resource), 1, instr(lower(min(m.resource)), '/providers/') - 1) from machines m where m.agent = agents.id)
    where 1 = (select count(distinct substr(m.resource_key, 1, instr(m.resource_key, '/providers/') - 1)) from machines m where m.agent = agents.id);
-- only postgres:
update agents set scope = (select substr(min(m.resource), 1, strpos(lower(min(m.resource)), '/providers/') - 1) from machines m where m.agent = agents.id)
    where 1 = (select count(distinct substr(m.resource_key, 1, strpos(m.resource_key, '/providers/') - 1)) from machines m where m.agent = agents.id);
-- end
update agents set scope_key = lower(scope);

create unique index agents_name on agents (tenant, scope_key, name_key) where revoked = 0;
