-- Codes are of a machine, whichever agent guards it.
create index glass_codes_by_machine on glass_codes (machine, id);
