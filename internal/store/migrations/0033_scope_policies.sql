-- What guards the machines of a scope, or those of them with labels. labels is JSON for reading; a machine has a label
-- where its own labels contain the pair. place is the order among those with labels; body is JSON.
create table scope_policies (
    id           {text} not null,
    resource     {text} not null,
    resource_key {text} not null,
    tenant       {text} not null,
    name         {text} not null,
    scope        {text} not null,
    scope_key    {text} not null,
    labels       {text} not null,
    place        bigint not null,
    body         {text} not null,
    created_at   bigint not null,
    updated_at   bigint not null,
    revision     bigint not null,
    constraint scope_policies_pk primary key (id),
    constraint scope_policies_resource unique (resource_key),
    constraint scope_policies_tenant foreign key (tenant) references tenants (id)
){rowless};

create index scope_policies_by_tenant on scope_policies (tenant, id);

create table scope_policy_labels (
    policy {text} not null,
    pair   {text} not null,
    constraint scope_policy_labels_pk primary key (policy, pair),
    constraint scope_policy_labels_policy foreign key (policy) references scope_policies (id)
){rowless};

-- Moves with each change of a policy of a scope: 0 says that there was never one, which spares reading them.
alter table directory add column scopes bigint not null default 0;

-- An order to end grants may concern a whole tenant, and then names neither a principal nor a machine.
create table recalls_of_all (
    id          {text} not null,
    tenant      {text} not null,
    principal   {text} not null,
    machine     {text} not null,
    scope       {text} not null,
    judge       bigint not null,
    actor       {text} not null,
    reason      {text} not null,
    at          bigint not null,
    after_start bigint not null,
    after_grant {text} not null,
    revision    bigint not null,
    constraint recalls_of_all_pk primary key (id),
    constraint recalls_of_all_tenant foreign key (tenant) references tenants (id),
    constraint recalls_of_all_one check (principal = '' or machine = '')
){rowless};
insert into recalls_of_all select * from recalls;
drop table recalls;
alter table recalls_of_all rename to recalls;
