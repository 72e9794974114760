-- Alerts. There is one that is not closed for each tenant, rule and key at most.
create table alerts (
    id         {text} not null,
    tenant     {text} not null,
    rule       {text} not null,
    key        {text} not null,
    state      {text} not null,
    severity   {text} not null,
    first_seen bigint not null,
    last_seen  bigint not null,
    closed_at  bigint not null,
    body       {text} not null,
    revision   bigint not null,
    constraint alerts_pk primary key (id),
    constraint alerts_tenant foreign key (tenant) references tenants (id),
    constraint alerts_closed check ((closed_at <> 0) = (state = 'closed'))
){rowless};

create unique index alerts_not_closed on alerts (tenant, rule, key) where closed_at = 0;
create index alerts_by_age on alerts (tenant, first_seen, id);
create index alerts_by_state on alerts (tenant, state, first_seen, id);
create index alerts_by_rule on alerts (tenant, rule, first_seen, id);

-- What rules remember of a key until their threshold is reached.
create table alert_watches (
    tenant {text} not null,
    rule   {text} not null,
    key    {text} not null,
    last   bigint not null,
    body   {text} not null,
    constraint alert_watches_pk primary key (tenant, rule, key)
){rowless};

create index alert_watches_by_last on alert_watches (last, tenant, rule, key);

create table alert_rules (
    tenant {text} not null,
    rule   {text} not null,
    body   {text} not null,
    constraint alert_rules_pk primary key (tenant, rule),
    constraint alert_rules_tenant foreign key (tenant) references tenants (id)
){rowless};

-- One row: the number of the first event that no rule has looked at.
create table alert_cursor (
    id  bigint not null,
    seq bigint not null,
    constraint alert_cursor_pk primary key (id),
    constraint alert_cursor_one check (id = 1)
){rowless};

insert into alert_cursor (id, seq) values (1, 0);

-- Ended, and not seen gone.
create index grants_unproven on grants (ended_at, id) where closed_at = 0 and ended_at <> 0;

-- Rules of other firewall tables that touch guarded ports, as the agent last reported them.
alter table agents add column foreign_rules {text} not null default '[]';
