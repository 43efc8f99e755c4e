def some(name): if has(name) then {(name): .[name]} else {} end;
def pick:
  if .resourceType == "Bundle" then
    some("resourceType") + some("type") + some("total")
    + ([.entry[]? | select(has("resource")) | {resource: (.resource | pick)}] | if . == [] then {} else {entry: .} end)
  elif .resourceType == "Observation" then
    some("resourceType") + some("id") + some("status") + some("code") + some("effectiveDateTime") + some("valueQuantity")
    + ((.subject // {}) | some("reference") | if . == {} then {} else {subject: .} end)
  else empty end;
pick
