-- Who may activate which role where. terms is JSON: what is asked of a request for it. origin is the managed application
-- that an eligibility belongs to; empty where it was given directly.
create table eligibilities (
    id         {text} not null,
    tenant     {text} not null,
    principal  {text} not null,
    role       {text} not null,
    scope      {text} not null,
    scope_key  {text} not null,
    start_at   bigint not null,
    end_at     bigint not null,
    longest    bigint not null,
    terms      {text} not null,
    origin     {text} not null,
    origin_key {text} not null,
    created_by {text} not null,
    created_at bigint not null,
    updated_at bigint not null,
    revision   bigint not null,
    constraint eligibilities_pk primary key (id),
    constraint eligibilities_tenant foreign key (tenant) references tenants (id),
    constraint eligibilities_principal foreign key (principal) references principals (id),
    constraint eligibilities_role foreign key (role) references role_definitions (id)
){rowless};

create index eligibilities_by_tenant on eligibilities (tenant, id);
create index eligibilities_by_principal on eligibilities (principal, id);
create index eligibilities_by_role on eligibilities (role);
create index eligibilities_by_origin on eligibilities (origin_key, id) where origin_key <> '';

-- What a request and a grant are of where they are of a role; empty where they are of ports.
alter table requests add column role_scope {text} not null default '';
alter table grants add column eligibility {text} not null default '';
alter table grants add column role {text} not null default '';
alter table grants add column role_name {text} not null default '';
alter table grants add column role_scope {text} not null default '';
alter table grants add column role_scope_key {text} not null default '';

create index requests_by_role_scope on requests (role_scope, created_at, id) where role_scope <> '';
create index grants_by_eligibility on grants (eligibility, created_at, id) where eligibility <> '';
create index grants_by_role_scope on grants (role_scope_key, created_at, id) where role_scope_key <> '';
