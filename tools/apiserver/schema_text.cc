// SPDX-License-Identifier: Apache-2.0
#include "apiserver/schema.h"

namespace sallyport::apiserver {

// A type a paragraph: its name, ":", then its fields, "name type", separated by commas.
//   string int bool number time quantity intstr any      scalars; `any` is what it likes
//   Type  []type  {}type                                  a type of this text, a list, a map
//   []Type@key    a strategic merge patch merges the list by this key
//   []string@     ... adds to the list
//   Type!  []Type@key!   ... with $retainKeys (in an item of the list)
//   name*         required
// Source: k8s.io/api v0.30, the patchMergeKey and patchStrategy tags of its types.
const char* const kSchemaText = R"(
ObjectMeta: name string, generateName string, namespace string, selfLink string, uid string,
  resourceVersion string, generation int, creationTimestamp time, deletionTimestamp time,
  deletionGracePeriodSeconds int, labels {}string, annotations {}string,
  ownerReferences []OwnerReference@uid, finalizers []string@, managedFields []any
OwnerReference: apiVersion* string, kind* string, name* string, uid* string, controller bool,
  blockOwnerDeletion bool
LabelSelector: matchLabels {}string, matchExpressions []LabelSelectorRequirement
LabelSelectorRequirement: key* string, operator* string, values []string
Condition: type* string, status* string, observedGeneration int, lastTransitionTime time,
  lastProbeTime time, lastHeartbeatTime time, lastUpdateTime time, reason string, message string
ObjectReference: kind string, namespace string, name string, uid string, apiVersion string,
  resourceVersion string, fieldPath string
LocalObjectReference: name string
TypedLocalObjectReference: apiGroup string, kind* string, name* string, namespace string

Namespace: spec NamespaceSpec, status NamespaceStatus
NamespaceSpec: finalizers []string
NamespaceStatus: phase string, conditions []Condition@type
Node: spec NodeSpec, status NodeStatus
NodeSpec: podCIDR string, podCIDRs []string@, providerID string, unschedulable bool,
  taints []Taint, configSource any, externalID string
Taint: key* string, value string, effect* string, timeAdded time
NodeStatus: capacity {}quantity, allocatable {}quantity, phase string,
  conditions []Condition@type, addresses []NodeAddress@type, daemonEndpoints any, nodeInfo any,
  images []any, volumesInUse []string, volumesAttached []any, config any, runtimeHandlers []any
NodeAddress: type* string, address* string
ConfigMap: data {}string, binaryData {}string, immutable bool
Secret: data {}string, stringData {}string, immutable bool, type string
ServiceAccount: secrets []ObjectReference@name, imagePullSecrets []LocalObjectReference@name,
  automountServiceAccountToken bool
Event: involvedObject* ObjectReference, reason string, message string, source EventSource,
  firstTimestamp time, lastTimestamp time, count int, type string, eventTime time, series any,
  action string, related ObjectReference, reportingComponent string, reportingInstance string
EventSource: component string, host string
Endpoints: subsets []EndpointSubset
EndpointSubset: addresses []EndpointAddress, notReadyAddresses []EndpointAddress,
  ports []EndpointPort
EndpointAddress: ip* string, hostname string, nodeName string, targetRef ObjectReference
EndpointPort: name string, port int, protocol string, appProtocol string
LimitRange: spec any
ResourceQuota: spec any, status any
PersistentVolume: spec any, status any
PersistentVolumeClaim: spec PersistentVolumeClaimSpec, status any
PersistentVolumeClaimSpec: accessModes []string, selector LabelSelector,
  resources VolumeResourceRequirements, volumeName string, storageClassName string,
  volumeMode string, dataSource TypedLocalObjectReference, dataSourceRef TypedLocalObjectReference,
  volumeAttributesClassName string
VolumeResourceRequirements: limits {}quantity, requests {}quantity

Service: spec ServiceSpec, status ServiceStatus
ServiceSpec: ports []ServicePort@port, selector {}string, clusterIP string, clusterIPs []string,
  type string, externalIPs []string, sessionAffinity string, loadBalancerIP string,
  loadBalancerSourceRanges []string, externalName string, externalTrafficPolicy string,
  healthCheckNodePort int, publishNotReadyAddresses bool,
  sessionAffinityConfig SessionAffinityConfig, ipFamilies []string, ipFamilyPolicy string,
  allocateLoadBalancerNodePorts bool, loadBalancerClass string, internalTrafficPolicy string,
  trafficDistribution string
ServicePort: name string, protocol string, appProtocol string, port* int, targetPort intstr,
  nodePort int
SessionAffinityConfig: clientIP ClientIPConfig
ClientIPConfig: timeoutSeconds int
ServiceStatus: loadBalancer LoadBalancerStatus, conditions []Condition@type
LoadBalancerStatus: ingress []LoadBalancerIngress
LoadBalancerIngress: ip string, hostname string, ipMode string, ports []any

PodTemplate: template PodTemplateSpec
PodTemplateSpec: metadata ObjectMeta, spec PodSpec
Pod: spec PodSpec, status PodStatus
PodSpec: volumes []Volume@name!, initContainers []Container@name, containers* []Container@name,
  ephemeralContainers []Container@name, restartPolicy string, terminationGracePeriodSeconds int,
  activeDeadlineSeconds int, dnsPolicy string, nodeSelector {}string, serviceAccountName string,
  serviceAccount string, automountServiceAccountToken bool, nodeName string, hostNetwork bool,
  hostPID bool, hostIPC bool, shareProcessNamespace bool, securityContext PodSecurityContext,
  imagePullSecrets []LocalObjectReference@name, hostname string, subdomain string,
  affinity Affinity, schedulerName string, tolerations []Toleration,
  hostAliases []HostAlias@ip, priorityClassName string, priority int, dnsConfig PodDNSConfig,
  readinessGates []PodReadinessGate, runtimeClassName string, enableServiceLinks bool,
  preemptionPolicy string, overhead {}quantity,
  topologySpreadConstraints []TopologySpreadConstraint@topologyKey, setHostnameAsFQDN bool,
  os PodOS, hostUsers bool, schedulingGates []PodSchedulingGate@name,
  resourceClaims []PodResourceClaim@name!
PodOS: name* string
PodReadinessGate: conditionType* string
PodSchedulingGate: name* string
PodResourceClaim: name* string, source any
HostAlias: ip* string, hostnames []string
PodDNSConfig: nameservers []string, searches []string, options []PodDNSConfigOption
PodDNSConfigOption: name string, value string
Toleration: key string, operator string, value string, effect string, tolerationSeconds int
TopologySpreadConstraint: maxSkew* int, topologyKey* string, whenUnsatisfiable* string,
  labelSelector LabelSelector, minDomains int, nodeAffinityPolicy string,
  nodeTaintsPolicy string, matchLabelKeys []string
PodSecurityContext: seLinuxOptions any, windowsOptions any, runAsUser int, runAsGroup int,
  runAsNonRoot bool, supplementalGroups []int, fsGroup int, sysctls []Sysctl,
  fsGroupChangePolicy string, seccompProfile SeccompProfile, appArmorProfile SeccompProfile
Sysctl: name* string, value* string
SeccompProfile: type* string, localhostProfile string
Affinity: nodeAffinity NodeAffinity, podAffinity PodAffinity, podAntiAffinity PodAffinity
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution NodeSelector,
  preferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm
NodeSelector: nodeSelectorTerms* []NodeSelectorTerm
NodeSelectorTerm: matchExpressions []LabelSelectorRequirement,
  matchFields []LabelSelectorRequirement
PreferredSchedulingTerm: weight* int, preference* NodeSelectorTerm
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm,
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
WeightedPodAffinityTerm: weight* int, podAffinityTerm* PodAffinityTerm
PodAffinityTerm: labelSelector LabelSelector, namespaces []string, topologyKey* string,
  namespaceSelector LabelSelector, matchLabelKeys []string, mismatchLabelKeys []string
Container: name* string, image string, command []string, args []string, workingDir string,
  ports []ContainerPort@containerPort, envFrom []EnvFromSource, env []EnvVar@name,
  resources ResourceRequirements, resizePolicy []any, restartPolicy string,
  volumeMounts []VolumeMount@mountPath, volumeDevices []VolumeDevice@devicePath,
  livenessProbe Probe, readinessProbe Probe, startupProbe Probe, lifecycle Lifecycle,
  terminationMessagePath string, terminationMessagePolicy string, imagePullPolicy string,
  securityContext SecurityContext, stdin bool, stdinOnce bool, tty bool,
  targetContainerName string
ContainerPort: name string, hostPort int, containerPort* int, protocol string, hostIP string
EnvFromSource: prefix string, configMapRef OptionalReference, secretRef OptionalReference
OptionalReference: name string, optional bool
EnvVar: name* string, value string, valueFrom EnvVarSource
EnvVarSource: fieldRef ObjectFieldSelector, resourceFieldRef ResourceFieldSelector,
  configMapKeyRef KeySelector, secretKeyRef KeySelector
ObjectFieldSelector: apiVersion string, fieldPath* string
ResourceFieldSelector: containerName string, resource* string, divisor quantity
KeySelector: name string, key* string, optional bool
ResourceRequirements: limits {}quantity, requests {}quantity, claims []ResourceClaim
ResourceClaim: name* string
VolumeMount: name* string, readOnly bool, mountPath* string, subPath string,
  mountPropagation string, subPathExpr string, recursiveReadOnly string
VolumeDevice: name* string, devicePath* string
Probe: exec ExecAction, httpGet HTTPGetAction, tcpSocket TCPSocketAction, grpc GRPCAction,
  initialDelaySeconds int, timeoutSeconds int, periodSeconds int, successThreshold int,
  failureThreshold int, terminationGracePeriodSeconds int
ExecAction: command []string
HTTPGetAction: path string, port* intstr, host string, scheme string, httpHeaders []HTTPHeader
HTTPHeader: name* string, value* string
TCPSocketAction: port* intstr, host string
GRPCAction: port* int, service string
Lifecycle: postStart LifecycleHandler, preStop LifecycleHandler
LifecycleHandler: exec ExecAction, httpGet HTTPGetAction, tcpSocket TCPSocketAction,
  sleep SleepAction
SleepAction: seconds* int
SecurityContext: capabilities Capabilities, privileged bool, seLinuxOptions any,
  windowsOptions any, runAsUser int, runAsGroup int, runAsNonRoot bool,
  readOnlyRootFilesystem bool, allowPrivilegeEscalation bool, procMount string,
  seccompProfile SeccompProfile, appArmorProfile SeccompProfile
Capabilities: add []string, drop []string
Volume: name* string, hostPath HostPathVolume, emptyDir EmptyDirVolume, secret SecretVolume,
  configMap ConfigMapVolume, downwardAPI DownwardAPIVolume, projected ProjectedVolume,
  persistentVolumeClaim ClaimVolume, csi any, ephemeral any, nfs any, iscsi any, rbd any, fc any,
  glusterfs any, cephfs any, flexVolume any, gitRepo any, awsElasticBlockStore any,
  gcePersistentDisk any, azureDisk any, azureFile any, cinder any, vsphereVolume any,
  portworxVolume any, scaleIO any, storageos any, quobyte any, flocker any, photonPersistentDisk any
HostPathVolume: path* string, type string
EmptyDirVolume: medium string, sizeLimit quantity
SecretVolume: secretName string, items []KeyToPath, defaultMode int, optional bool
ConfigMapVolume: name string, items []KeyToPath, defaultMode int, optional bool
KeyToPath: key* string, path* string, mode int
DownwardAPIVolume: items []DownwardAPIFile, defaultMode int
DownwardAPIFile: path* string, fieldRef ObjectFieldSelector,
  resourceFieldRef ResourceFieldSelector, mode int
ProjectedVolume: sources []VolumeProjection, defaultMode int
VolumeProjection: secret SecretProjection, downwardAPI DownwardAPIVolume,
  configMap SecretProjection, serviceAccountToken ServiceAccountTokenProjection,
  clusterTrustBundle any
SecretProjection: name string, items []KeyToPath, optional bool
ServiceAccountTokenProjection: audience string, expirationSeconds int, path* string
ClaimVolume: claimName* string, readOnly bool
PodStatus: phase string, conditions []Condition@type, message string, reason string,
  nominatedNodeName string, hostIP string, hostIPs []HostIP@ip, podIP string, podIPs []PodIP@ip,
  startTime time, initContainerStatuses []ContainerStatus, containerStatuses []ContainerStatus,
  qosClass string, ephemeralContainerStatuses []ContainerStatus, resize string,
  resourceClaimStatuses []any
HostIP: ip string
PodIP: ip string
ContainerStatus: name* string, state any, lastState any, ready bool, restartCount int,
  image string, imageID string, containerID string, started bool, allocatedResources any,
  resources any, volumeMounts []any
ReplicationController: spec ReplicationControllerSpec, status ReplicaStatus
ReplicationControllerSpec: replicas int, minReadySeconds int, selector {}string,
  template PodTemplateSpec
ReplicaStatus: replicas int, fullyLabeledReplicas int, readyReplicas int, availableReplicas int,
  observedGeneration int, conditions []Condition@type

Deployment: spec DeploymentSpec, status DeploymentStatus
DeploymentSpec: replicas int, selector* LabelSelector, template* PodTemplateSpec,
  strategy DeploymentStrategy!, minReadySeconds int, revisionHistoryLimit int, paused bool,
  progressDeadlineSeconds int
DeploymentStrategy: type string, rollingUpdate RollingUpdate
RollingUpdate: maxUnavailable intstr, maxSurge intstr, partition int
DeploymentStatus: observedGeneration int, replicas int, updatedReplicas int, readyReplicas int,
  availableReplicas int, unavailableReplicas int, conditions []Condition@type, collisionCount int
ReplicaSet: spec ReplicaSetSpec, status ReplicaStatus
ReplicaSetSpec: replicas int, minReadySeconds int, selector* LabelSelector,
  template PodTemplateSpec
StatefulSet: spec StatefulSetSpec, status StatefulSetStatus
StatefulSetSpec: replicas int, selector* LabelSelector, template* PodTemplateSpec,
  volumeClaimTemplates []PersistentVolumeClaimTemplate, serviceName string,
  podManagementPolicy string, updateStrategy UpdateStrategy, revisionHistoryLimit int,
  minReadySeconds int, persistentVolumeClaimRetentionPolicy any, ordinals StatefulSetOrdinals
PersistentVolumeClaimTemplate: apiVersion string, kind string, metadata ObjectMeta,
  spec PersistentVolumeClaimSpec, status any
StatefulSetOrdinals: start int
UpdateStrategy: type string, rollingUpdate RollingUpdate
StatefulSetStatus: observedGeneration int, replicas int, readyReplicas int, currentReplicas int,
  updatedReplicas int, currentRevision string, updateRevision string, collisionCount int,
  conditions []Condition@type, availableReplicas int
DaemonSet: spec DaemonSetSpec, status DaemonSetStatus
DaemonSetSpec: selector* LabelSelector, template* PodTemplateSpec, updateStrategy UpdateStrategy,
  minReadySeconds int, revisionHistoryLimit int
DaemonSetStatus: currentNumberScheduled int, numberMisscheduled int, desiredNumberScheduled int,
  numberReady int, observedGeneration int, updatedNumberScheduled int, numberAvailable int,
  numberUnavailable int, collisionCount int, conditions []Condition@type
ControllerRevision: data any, revision int

Job: spec JobSpec, status JobStatus
JobSpec: parallelism int, completions int, activeDeadlineSeconds int, podFailurePolicy any,
  successPolicy any, backoffLimit int, backoffLimitPerIndex int, maxFailedIndexes int,
  selector LabelSelector, manualSelector bool, template* PodTemplateSpec,
  ttlSecondsAfterFinished int, completionMode string, suspend bool, podReplacementPolicy string,
  managedBy string
JobStatus: conditions []Condition@type, startTime time, completionTime time, active int,
  succeeded int, failed int, terminating int, completedIndexes string, failedIndexes string,
  uncountedTerminatedPods any, ready int
CronJob: spec CronJobSpec, status CronJobStatus
CronJobSpec: schedule* string, timeZone string, startingDeadlineSeconds int,
  concurrencyPolicy string, suspend bool, jobTemplate* JobTemplateSpec,
  successfulJobsHistoryLimit int, failedJobsHistoryLimit int
JobTemplateSpec: metadata ObjectMeta, spec JobSpec
CronJobStatus: active []ObjectReference, lastScheduleTime time, lastSuccessfulTime time

NetworkPolicy: spec NetworkPolicySpec
NetworkPolicySpec: podSelector* LabelSelector, ingress []NetworkPolicyIngressRule,
  egress []NetworkPolicyEgressRule, policyTypes []string
NetworkPolicyIngressRule: ports []NetworkPolicyPort, from []NetworkPolicyPeer
NetworkPolicyEgressRule: ports []NetworkPolicyPort, to []NetworkPolicyPeer
NetworkPolicyPort: protocol string, port intstr, endPort int
NetworkPolicyPeer: podSelector LabelSelector, namespaceSelector LabelSelector, ipBlock IPBlock
IPBlock: cidr* string, except []string
Ingress: spec IngressSpec, status any
IngressSpec: ingressClassName string, defaultBackend IngressBackend, tls []IngressTLS,
  rules []IngressRule
IngressBackend: service IngressServiceBackend, resource TypedLocalObjectReference
IngressServiceBackend: name* string, port IngressServicePort
IngressServicePort: name string, number int
IngressTLS: hosts []string, secretName string
IngressRule: host string, http IngressHTTP
IngressHTTP: paths* []IngressPath
IngressPath: path string, pathType* string, backend* IngressBackend
IngressClass: spec any
EndpointSlice: addressType* string, endpoints* []Endpoint, ports []EndpointPort
Endpoint: addresses* []string, conditions EndpointConditions, hostname string,
  targetRef ObjectReference, deprecatedTopology {}string, nodeName string, zone string,
  hints EndpointHints
EndpointConditions: ready bool, serving bool, terminating bool
EndpointHints: forZones []ForZone
ForZone: name* string
Lease: spec LeaseSpec
LeaseSpec: holderIdentity string, leaseDurationSeconds int, acquireTime time, renewTime time,
  leaseTransitions int, strategy string, preferredHolder string

Role: rules* []PolicyRule
ClusterRole: rules* []PolicyRule, aggregationRule any
PolicyRule: verbs* []string, apiGroups []string, resources []string, resourceNames []string,
  nonResourceURLs []string
RoleBinding: subjects []Subject, roleRef* RoleRef
ClusterRoleBinding: subjects []Subject, roleRef* RoleRef
Subject: kind* string, apiGroup string, name* string, namespace string
RoleRef: apiGroup string, kind* string, name* string
PodDisruptionBudget: spec PodDisruptionBudgetSpec, status any
PodDisruptionBudgetSpec: minAvailable intstr, selector LabelSelector!, maxUnavailable intstr,
  unhealthyPodEvictionPolicy string
PriorityClass: value* int, globalDefault bool, description string, preemptionPolicy string
StorageClass: provisioner* string, parameters {}string, reclaimPolicy string,
  mountOptions []string, allowVolumeExpansion bool, volumeBindingMode string,
  allowedTopologies []any

CustomResourceDefinition: spec* CustomResourceDefinitionSpec, status any
CustomResourceDefinitionSpec: group* string, names* CustomResourceDefinitionNames,
  scope* string, versions* []CustomResourceDefinitionVersion, conversion any,
  preserveUnknownFields bool
CustomResourceDefinitionNames: plural* string, singular string, shortNames []string, kind* string,
  listKind string, categories []string
CustomResourceDefinitionVersion: name* string, served* bool, storage* bool, deprecated bool,
  deprecationWarning string, schema CustomResourceValidation, subresources any,
  additionalPrinterColumns []CustomResourceColumnDefinition, selectableFields []any
CustomResourceValidation: openAPIV3Schema any
CustomResourceColumnDefinition: name* string, type* string, format string, description string,
  priority int, jsonPath* string
)";

}  // namespace sallyport::apiserver
