import { posix } from 'node:path'
import { stringify } from 'yaml'
import { commentText, type GridJob, type Scheduler, taskEnvironment } from './scheduler.js'

/** Seconds that a pod which is preempted has to store its state. */
const graceSeconds = 60
/** How often a task is tried that crashes; pods that are preempted do not count. */
const retries = 3

/** Kubernetes: an indexed job. Its pods see nothing but their image and volumes. */
export const kubernetes: Scheduler = {
  title: 'Kubernetes',
  file: 'kubernetes-job.yaml',
  options: [
    { name: 'image', value: 'image', help: 'the image of the pods, which has pmoe', isRequired: true },
    {
      name: 'volume',
      value: 'claim:/path',
      help: 'persistent volume claims and where they are mounted, by commas',
      isRequired: true,
    },
    { name: 'namespace', value: 'name', help: 'the namespace' },
  ],
  seesFiles: false,
  describe(job) {
    const head = `# ${commentText(job.name)}: pods share the runs, whatever their number (completions and --share must agree).\n`
    // kubectl reads YAML 1.1, to which an unquoted yes is true.
    return head + stringify(manifest(job), { lineWidth: 0, compat: 'yaml-1.1' })
  },
  // A new name each time: a job that has ended keeps its name for a while.
  submit: path => ['kubectl', 'create', '-f', path],
}

function manifest(job: GridJob) {
  const { name, tasks, options } = job
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      generateName: `${labelOf(name)}-`,
      ...(options.namespace !== undefined && { namespace: options.namespace }),
      labels: { 'app.kubernetes.io/name': 'patch-moe' },
    },
    spec: {
      completionMode: 'Indexed',
      completions: tasks,
      parallelism: tasks,
      backoffLimitPerIndex: retries,
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          // A command that cannot work cannot work another time either.
          { action: 'FailJob', onExitCodes: { containerName: 'pmoe', operator: 'In', values: [2] } },
        ],
      },
      template: { spec: podOf(job) },
    },
  }
}

function podOf(job: GridJob) {
  const { command, tasks, resources, options } = job
  const volumes = volumesOf(options.volume ?? '')
  checkResults(job.results, volumes)
  return {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: graceSeconds,
    ...(resources.seconds !== undefined && { activeDeadlineSeconds: resources.seconds }),
    containers: [
      {
        name: 'pmoe',
        image: options.image,
        command: [...command.map(withoutVariables), '--share', `$(JOB_COMPLETION_INDEX)/${tasks}`],
        env: Object.entries(taskEnvironment(job)).map(([name, value]) => ({ name, value })),
        resources: resourcesOf(resources),
        volumeMounts: volumes.map(({ path }, i) => ({ name: `volume-${i}`, mountPath: path })),
      },
    ],
    volumes: volumes.map(({ claim }, i) => ({
      name: `volume-${i}`,
      persistentVolumeClaim: { claimName: claim },
    })),
  }
}

/** In the words of a command Kubernetes replaces `$(NAME)`, and `$$` by `$`. */
function withoutVariables(word: string): string {
  return word.replaceAll('$', '$$$$')
}

function resourcesOf({ cpus, memory, gpus }: GridJob['resources']) {
  const size = memory === undefined ? undefined : `${memory}Mi`
  return {
    requests: { cpu: String(cpus), ...(size !== undefined && { memory: size }) },
    ...((size !== undefined || gpus !== undefined) && {
      limits: {
        ...(size !== undefined && { memory: size }),
        ...(gpus !== undefined && { 'nvidia.com/gpu': String(gpus) }),
      },
    }),
  }
}

/** The longest beginning of a job's name that leaves its pods, which have its number and theirs, a name of 63 characters. */
const longestLabel = 50

/** A name as Kubernetes has them: lower-case letters, digits and hyphens. */
function labelOf(name: string): string {
  const label = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, longestLabel)
  return label.replace(/^-+|-+$/g, '') || 'pmoe'
}

/** A claim and where it is mounted in the pods. */
interface MountedVolume {
  readonly claim: string
  readonly path: string
}

/** What pods write elsewhere is lost. */
function checkResults(results: string, volumes: readonly MountedVolume[]): void {
  const isInside = ({ path }: MountedVolume) => posix.relative(path, results).split('/')[0] !== '..'
  if (posix.isAbsolute(results) && volumes.some(isInside)) return
  const paths = volumes.map(({ path }) => path).join(' or ')
  throw new RangeError(`kubernetes: the results must lie in a volume, below ${paths}, got ${results}`)
}

/** The volumes that a text names: `results:/results,images:/data`. */
function volumesOf(text: string): MountedVolume[] {
  return text.split(',').map(part => {
    const [, claim, path] = /^([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?):(\/.*)$/.exec(part) ?? []
    if (claim !== undefined && path !== undefined) return { claim, path: posix.normalize(path) }
    throw new RangeError(
      `kubernetes: volume must be a claim and an absolute path, results:/results, got ${JSON.stringify(part)}`,
    )
  })
}
