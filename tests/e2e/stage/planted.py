"""Resources with a canary in every place that the restricted roles of policy.yaml do not see.

A canary is a value that stands nowhere else; dates are of the 1890s, so that no synthetic patient shares them. If one turns
up where it must not, its name says which element leaked.
"""

import secrets
from dataclasses import dataclass, field

PATIENT = "planted-patient"
PHONE = "+1 617 555 0142"
BIRTH_DATE = "1899-10-23"
APPOINTMENT = "planted-appointment"
SECRET_APPOINTMENT = "planted-secret-appointment"
LABORATORY = "planted-laboratory"
VITAL_SIGNS = "planted-vital-signs"
CONDITION = "planted-condition"
ENCOUNTER = "planted-encounter"


@dataclass
class Canaries:
    """By element: the values that only unrestricted roles may see."""

    by_element: dict[str, str] = field(default_factory=dict)

    def new(self, element: str) -> str:
        value = f"canary-{element.replace('.', '-').lower()}-{secrets.token_hex(6)}"
        self.by_element[element] = value
        return value

    def fixed(self, element: str, value: str) -> str:
        self.by_element[element] = value
        return value

    def found_in(self, text: str) -> list[str]:
        """The elements whose canaries stand in a text, in any case."""
        text = text.lower()
        return [element for element, value in self.by_element.items() if value.lower() in text]


def bundle(canaries: Canaries) -> dict:
    new, fixed = canaries.new, canaries.fixed
    subject = {"reference": f"Patient/{PATIENT}"}

    def concept(element: str) -> dict:
        return {"coding": [{"system": "http://snomed.info/sct", "code": "38341003", "display": new(f"{element}.display")}], "text": new(f"{element}.text")}

    def named(element: str) -> dict:
        return {**subject, "display": new(f"{element}.display")}

    def extension(element: str) -> list[dict]:
        inner = {"url": "inner", "valueString": new(f"{element}.extension")}
        return [{"url": "http://hospital.example/fhir/StructureDefinition/note", "extension": [inner]}]

    patient = {
        "resourceType": "Patient", "id": PATIENT,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{new("Patient.text")}</div>'},
        "extension": extension("Patient"),
        "contained": [{"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Inside"}],
                       "identifier": [{"value": new("Patient.contained.identifier")}], "birthDate": fixed("Patient.contained.birthDate", "1898-03-17")}],
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": new("Patient.identifier"),
                        "assigner": {"display": new("Patient.identifier.assigner")}}],
        "active": True,
        "name": [{"family": "Planted", "given": ["Petra"], "_given": [{"extension": extension("Patient.name.given")}]}],
        "telecom": [{"system": "phone", "value": fixed("Patient.telecom.phone", PHONE), "use": "home"},
                    {"system": "email", "value": new("Patient.telecom.email")}],
        "gender": "female", "_gender": {"id": "x", "extension": extension("Patient.gender")},
        "birthDate": fixed("Patient.birthDate", BIRTH_DATE),
        "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                                      "valueDateTime": fixed("Patient.birthDate.extension", f"{BIRTH_DATE}T04:17:09Z")}]},
        "deceasedDateTime": fixed("Patient.deceased", "2019-07-04T11:52:33Z"),
        "address": [{"line": [new("Patient.address.line")], "city": new("Patient.address.city"), "postalCode": fixed("Patient.address.postalCode", "98117-4402")}],
        "maritalStatus": concept("Patient.maritalStatus"),
        "contact": [{"name": {"family": new("Patient.contact.name")}, "telecom": [{"system": "phone", "value": new("Patient.contact.telecom")}]}],
        "communication": [{"language": concept("Patient.communication.language")}],
        "generalPractitioner": [{"reference": "#doctor", "display": new("Patient.generalPractitioner.display")}],
        "managingOrganization": {"identifier": {"value": new("Patient.managingOrganization.identifier")}},
        # No element of FHIR: what the tables don't know is never shown to a restricted role.
        "favouriteColour": new("Patient.favouriteColour"),
    }
    appointment = {
        "resourceType": "Appointment", "id": APPOINTMENT, "status": "booked",
        "description": new("Appointment.description"), "comment": new("Appointment.comment"), "reasonCode": [concept("Appointment.reasonCode")],
        "start": "2026-03-02T09:00:00Z", "end": "2026-03-02T09:20:00Z", "extension": extension("Appointment"),
        "participant": [{"actor": named("Appointment.participant.actor"), "status": "accepted"}],
    }
    labelled = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    secret = {
        "resourceType": "Appointment", "id": SECRET_APPOINTMENT, "status": "booked", "meta": {"security": [labelled]},
        "serviceType": [concept("Appointment.serviceType of a labelled one")], "participant": [{"actor": subject, "status": "accepted"}],
    }
    laboratory = {
        "resourceType": "Observation", "id": LABORATORY, "status": "final", "subject": named("Observation.subject"),
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "7917-8"}]}, "valueString": new("Observation.value of a laboratory result"),
    }
    vital_signs = {
        "resourceType": "Observation", "id": VITAL_SIGNS, "status": "final", "subject": named("Observation.subject of vital signs"),
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "note": [{"text": new("Observation.note")}],
        "valueQuantity": {"value": 71, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min", "extension": extension("Observation.value")},
    }
    condition = {
        "resourceType": "Condition", "id": CONDITION, "subject": subject, "note": [{"text": new("Condition.note")}],
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]}, "evidence": [{"code": [concept("Condition.evidence")]}],
    }
    encounter = {
        "resourceType": "Encounter", "id": ENCOUNTER, "status": "finished", "subject": named("Encounter.subject"),
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, "reasonCode": [concept("Encounter.reasonCode")],
        "participant": [{"individual": {"reference": "Practitioner/nobody", "display": new("Encounter.participant.individual")}}],
    }
    resources = [patient, appointment, secret, laboratory, vital_signs, condition, encounter]
    return {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": f"urn:planted:{resource['id']}", "resource": resource} for resource in resources]}
