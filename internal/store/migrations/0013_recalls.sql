-- Orders to end many grants: of a principal, or on a machine; the other one is empty. actor is JSON. after_start and
-- after_grant are how far the job is that carries an order out.
create table recalls (
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
    constraint recalls_pk primary key (id),
    constraint recalls_tenant foreign key (tenant) references tenants (id),
    constraint recalls_one check ((principal = '') <> (machine = ''))
){rowless};

-- What a person holds and what is on a machine, the first to begin first: what is open stands before what is scheduled.
create index grants_standing on grants (principal, start_at, id) where ended_at = 0;
drop index grants_not_closed;
create index grants_not_closed on grants (machine, start_at, id) where closed_at = 0;

-- What is like a new grant of a person on a machine, and so may be covered by it. An entry of an index is bounded, and so
-- has the beginning of the sources.
drop index grants_held;
create index grants_held on grants (principal, machine, first_port, substr(sources, 1, 80), end_at) where ended_at = 0;
