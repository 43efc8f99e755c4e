def hide:
  del(.text)
  | if .resourceType == "Patient" then del(.name, .telecom, .address, .birthDate, .identifier) else . end
  | if has("contained") then .contained |= map(hide) else . end
  | if .resourceType == "Bundle" and has("entry")
    then .entry |= map(if has("resource") then .resource |= hide else . end) else . end;
hide
