ALTER TABLE function_runs ADD COLUMN workspace_id UUID;
