-- Who made a secret of a service principal, and may be able to speak for it: also of the secrets that are gone.
create table secret_makers (
    principal {text} not null,
    person    {text} not null,
    constraint secret_makers_pk primary key (principal, person)
){rowless};

insert into secret_makers (principal, person) select distinct s.principal, s.created_by from secrets s where s.created_by <> '';

-- What a policy said last of a machine when it ceased to name it.
create table former_entries (
    machine {text} not null,
    body    {text} not null,
    constraint former_entries_pk primary key (machine)
){rowless};
