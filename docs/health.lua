-- The health of BroadcastMessages and MessageChannels for Argo CD.
local health = {status = "Progressing", message = "not looked at yet"}
if obj.status == nil or obj.status.conditions == nil then
  return health
end
local generation = obj.status.observedGeneration
if generation ~= nil and generation ~= obj.metadata.generation then
  health.message = "the last edit has not been looked at yet"
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function say(status, condition)
  health.status = status
  health.message = condition.reason
  if condition.message ~= nil and condition.message ~= "" then
    health.message = condition.reason .. ": " .. condition.message
  end
  return health
end
if holds("Stalled") then
  return say("Degraded", conditions.Stalled)
end
-- Every end is one: delivered, and cancelled, expired or missed as written in the document.
if holds("Finished") then
  return say("Healthy", conditions.Finished)
end
if holds("Suspended") then
  return say("Suspended", conditions.Suspended)
end
if conditions.Finished == nil and holds("Ready") then
  return say("Healthy", conditions.Ready)
end
if conditions.Ready ~= nil then
  return say("Progressing", conditions.Ready)
end
return health
