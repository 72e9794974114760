-- What deciding rests on. ask is JSON: the windows, what is extended, whether glass was broken, and the approvals.
-- stage_until is when a stage of a pending request gives way to the next; 0 where none will.
alter table requests add column ask {text} not null default '{}';
alter table requests add column stage_until bigint not null default 0;

create index requests_stages on requests (stage_until, id) where state = 'pending' and stage_until <> 0;

-- warn_at is when a grant's holder is to be told that it will end; 0 where there is nothing to tell.
alter table grants add column warn_at bigint not null default 0;

create index grants_to_warn on grants (warn_at, id) where warn_at <> 0;

create table decisions (
    request    {text} not null,
    position   bigint not null,
    person     {text} not null,
    name       {text} not null,
    approve    bigint not null,
    comment    {text} not null,
    digest     {text} not null,
    at         bigint not null,
    quorums    {text} not null,
    stage      bigint not null,
    approval   bigint not null,
    stepped_up bigint not null,
    constraint decisions_pk primary key (request, position),
    constraint decisions_request foreign key (request) references requests (id)
){rowless};

create index decisions_by_person on decisions (person, at, request);

-- Debts of review that breaking glass leaves. request is empty where it was broken offline.
create table reviews (
    id          {text} not null,
    tenant      {text} not null,
    person      {text} not null,
    person_name {text} not null,
    request     {text} not null,
    offline     bigint not null,
    created_at  bigint not null,
    closed_at   bigint not null,
    closed_by   {text} not null,
    comment     {text} not null,
    revision    bigint not null,
    constraint reviews_pk primary key (id),
    constraint reviews_tenant foreign key (tenant) references tenants (id)
){rowless};

create index reviews_by_age on reviews (created_at, id);
create index reviews_open on reviews (person, id) where closed_at = 0;
