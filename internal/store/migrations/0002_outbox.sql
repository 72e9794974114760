-- The outbox: what people are to be told, and how that goes. seq numbers notifications in the order of their commits.
create table notifications (
    seq      {counter} not null,
    id       {text} not null,
    at       bigint not null,
    kind     {text} not null,
    tenant   {text} not null,
    request  {text} not null,
    grant_id {text} not null,
    alert    {text} not null,
    body     {text} not null,
    routed   bigint not null,
    constraint notifications_pk primary key (seq),
    constraint notifications_id unique (id),
    constraint notifications_tenant foreign key (tenant) references tenants (id)
);

create index notifications_unrouted on notifications (seq) where routed = 0;
create index notifications_by_age on notifications (at, seq);

create table channels (
    id         {text} not null,
    tenant     {text} not null,
    name       {text} not null,
    name_key   {text} not null,
    kind       {text} not null,
    enabled    bigint not null,
    config     {text} not null,
    sealed     {bytes} not null,
    created_at bigint not null,
    revision   bigint not null,
    constraint channels_pk primary key (id),
    constraint channels_name unique (tenant, name_key),
    constraint channels_tenant foreign key (tenant) references tenants (id)
){rowless};

create index channels_by_name on channels (name_key, id);

-- An empty principal or policy stands for all.
create table routes (
    id         {text} not null,
    tenant     {text} not null,
    channel    {text} not null,
    principal  {text} not null,
    policy     {text} not null,
    kinds      {text} not null,
    mute       bigint not null,
    created_at bigint not null,
    constraint routes_pk primary key (id),
    constraint routes_tenant foreign key (tenant) references tenants (id),
    constraint routes_channel foreign key (channel) references channels (id)
){rowless};

create index routes_by_age on routes (created_at, id);
create index routes_by_tenant on routes (tenant, created_at, id);
create index routes_by_channel on routes (channel, created_at, id);
create index routes_by_principal on routes (principal, created_at, id);

-- Deliveries outlive their channel.
create table deliveries (
    id           {text} not null,
    seq          bigint not null,
    notification {text} not null,
    kind         {text} not null,
    tenant       {text} not null,
    request      {text} not null,
    channel      {text} not null,
    recipient    {text} not null,
    lane         {text} not null,
    state        {text} not null,
    attempts     bigint not null,
    queued_at    bigint not null,
    next_attempt bigint not null,
    last_error   {text} not null,
    ended_at     bigint not null,
    revision     bigint not null,
    constraint deliveries_pk primary key (id),
    constraint deliveries_notification foreign key (notification) references notifications (id),
    constraint deliveries_ended check ((ended_at <> 0) = (state <> 'pending'))
){rowless};

create unique index deliveries_lanes on deliveries (channel, lane, seq) where state = 'pending';
create index deliveries_due on deliveries (channel, next_attempt, seq, id) where state = 'pending';
create index deliveries_by_age on deliveries (seq, id);
create index deliveries_by_state on deliveries (tenant, state, seq, id);
create index deliveries_by_channel on deliveries (channel, state, seq, id);
create index deliveries_by_request on deliveries (request, seq, id);
create index deliveries_by_notification on deliveries (notification, id);
