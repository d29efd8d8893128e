-- When the host is told of keys about to end. The times are nanoseconds.
--
-- MySQL adds no column "if not exists". Both come in one statement, which is
-- done whole or not at all, and a second time does nothing.

SET @latchkey = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
    AND table_name = '{p}instance' AND column_name = 'remind_before') > 0, 'DO 0',
    'ALTER TABLE {p}instance ADD COLUMN reminders_off SMALLINT NOT NULL DEFAULT 0, ADD COLUMN remind_before VARBINARY(255) NOT NULL DEFAULT ''''');

PREPARE latchkey FROM @latchkey;

EXECUTE latchkey;

DEALLOCATE PREPARE latchkey;
