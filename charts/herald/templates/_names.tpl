{{/* The name of all objects. */}}
{{- define "herald.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "herald.serviceAccountName" -}}
{{- default (include "herald.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "herald.claimName" -}}
{{- default (printf "%s-ledger" (include "herald.fullname" .)) .Values.ledger.persistence.existingClaim -}}
{{- end -}}

{{/* The image of the operator, and of senders unless they have one of their own. */}}
{{- define "herald.image" -}}
{{- $repository := required "image.repository is needed: no image is published yet. Build one with `make image` or the Dockerfile, push it to a registry your cluster can pull from, and give --set image.repository=REGISTRY/herald --set image.tag=TAG" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of one part: (list . "operator"). Immutable in a Deployment, so nothing that changes. */}}
{{- define "herald.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of the objects of one part: (list . "operator"). */}}
{{- define "herald.labels" -}}
{{- $root := index . 0 -}}
{{ include "herald.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: herald
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A container as Pod Security `restricted` wants it, with nothing to write to but its volumes. */}}
{{- define "herald.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "herald.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* More than one operator need a ledger that more than one may use. */}}
{{- define "herald.replicas" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.ledger.postgres.secretName) -}}
{{- fail "replicas: more than one operator need the ledger in PostgreSQL: set ledger.postgres.secretName, or replicas to 1" -}}
{{- end -}}
{{- .Values.replicas -}}
{{- end -}}
