-- The revision of the policy when it last changed what it says of a machine: until now, of any of its machines.
alter table policy_machines add column revision bigint not null default 0;
update policy_machines set revision = (select p.revision from policies p where p.id = policy_machines.policy);
