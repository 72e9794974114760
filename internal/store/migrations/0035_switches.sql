-- Whether just-in-time access may be asked for on the machines of a scope. One that was turned on again stays, with who
-- did it. Each change moves the number of the policies of scopes in directory, by which both are kept in memory.
create table switches (
    scope     {text} not null,
    scope_key {text} not null,
    tenant    {text} not null,
    disabled  bigint not null,
    body      {text} not null,
    revision  bigint not null,
    constraint switches_pk primary key (scope_key),
    constraint switches_tenant foreign key (tenant) references tenants (id)
){rowless};

create index switches_by_tenant on switches (tenant, scope_key);
