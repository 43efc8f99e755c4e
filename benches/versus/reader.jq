# The same task for jq.
def labelled: .meta.security += [{system: "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", code: "REDACTED"}];
def resource:
  del(.text)
  | if .resourceType == "Patient" then del(.name, .telecom, .address, .birthDate, .identifier) else . end
  | if .contained then .contained |= map(resource) else . end;
.entry |= map(.resource |= (resource | labelled))
