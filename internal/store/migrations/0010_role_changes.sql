-- What was changed of role assignments and eligibilities under an id of the caller's own; it outlasts what it changed.
create table role_changes (
    id             {text} not null,
    tenant         {text} not null,
    subject        {text} not null,
    kind           {text} not null,
    target         {text} not null,
    eligibility    {text} not null,
    principal      {text} not null,
    principal_name {text} not null,
    principal_kind {text} not null,
    role           {text} not null,
    role_name      {text} not null,
    scope          {text} not null,
    start_at       bigint not null,
    end_at         bigint not null,
    requester      {text} not null,
    justification  {text} not null,
    ticket         {text} not null,
    state          {text} not null,
    created_at     bigint not null,
    decided_by     {text} not null,
    revision       bigint not null,
    constraint role_changes_pk primary key (id),
    constraint role_changes_tenant foreign key (tenant) references tenants (id)
){rowless};

create index role_changes_by_tenant on role_changes (tenant, created_at, id);
create index role_changes_by_principal on role_changes (principal, created_at, id);
create index role_changes_by_requester on role_changes (requester, created_at, id);
create index role_changes_waiting on role_changes (target, created_at, id) where state = 'waiting';
