def pick:
  if .resourceType == "Bundle" then
    with_entries(select(.key == "resourceType" or .key == "type" or .key == "total"))
    + ([.entry[]? | select(has("resource")) | {resource: (.resource | pick)}]
       | if length > 0 then {entry: .} else {} end)
  elif .resourceType == "Observation" then
    (if .subject | has("reference")? then {subject: {reference: .subject.reference}} else {} end) as $subject
    | with_entries(select(
        .key == "resourceType" or .key == "id" or .key == "status" or .key == "code"
        or .key == "effectiveDateTime" or .key == "valueQuantity"))
    + $subject
  else empty end;
pick
