-- What concerns each person, or everybody in a group: seq is where the act begins on the activity log, and id is one for
-- all whom the act addresses. body is JSON. The text is made when it is read.
create table inbox (
    addressee {text} not null,
    seq       bigint not null,
    id        {text} not null,
    at        bigint not null,
    kind      {text} not null,
    request   {text} not null,
    actor     {text} not null,
    body      {text} not null,
    constraint inbox_pk primary key (addressee, seq, id)
){rowless};

-- How far each person has read.
create table inboxes (
    principal {text} not null,
    read_seq  bigint not null,
    constraint inboxes_pk primary key (principal),
    constraint inboxes_principal foreign key (principal) references principals (id)
){rowless};
