SELECT guard('reminder');
SELECT guard('alarm');
SELECT guard('task');
SELECT guard('living_situation');
