-- What a change of a machine's policy that is to be confirmed gives back where nobody does. body is what the policy said
-- of the machine before, as JSON; it counts where named is 1.
create table trials (
    machine  {text} not null,
    trial    {text} not null,
    until_at bigint not null,
    in_force bigint not null,
    named    bigint not null,
    body     {text} not null,
    constraint trials_pk primary key (machine)
){rowless};

create index trials_by_until on trials (until_at, machine);

-- What agents found on their hosts, as they last said: which version said so, and when.
create table findings (
    agent   {text} not null,
    version {text} not null,
    at      bigint not null,
    constraint findings_pk primary key (agent)
){rowless};
