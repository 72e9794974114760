-- What was changed of role assignments and eligibilities under an id of the caller's own; it outlasts what it changed.
create table role_changes (
    id             text collate "C" not null,
    tenant         text collate "C" not null,
    subject        text collate "C" not null,
    kind           text collate "C" not null,
    target         text collate "C" not null,
    eligibility    text collate "C" not null,
    principal      text collate "C" not null,
    principal_name text collate "C" not null,
    principal_kind text collate "C" not null,
    role           text collate "C" not null,
    role_name      text collate "C" not null,
    scope          text collate "C" not null,
    start_at       bigint not null,
    end_at         bigint not null,
    requester      text collate "C" not null,
    justification  text collate "C" not null,
    ticket         text collate "C" not null,
    state          text collate "C" not null,
    created_at     bigint not null,
    decided_by     text collate "C" not null,
    revision       bigint not null,
    constraint role_changes_pk primary key (id),
    constraint role_changes_tenant foreign key (tenant) references tenants (id)
);

create index role_changes_by_tenant on role_changes (tenant, created_at, id);
create index role_changes_by_principal on role_changes (principal, created_at, id);
create index role_changes_by_requester on role_changes (requester, created_at, id);
create index role_changes_waiting on role_changes (target, created_at, id) where state = 'waiting';
