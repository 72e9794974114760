-- What ended and was not seen gone, machine by machine: of each the grant that ended first.
create index grants_unproven_on on grants (tenant, machine, ended_at, id) where closed_at = 0 and ended_at <> 0;
