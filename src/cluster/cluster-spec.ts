import { expandedNodes, tasksOfNodes } from './slurm-nodes.js'

/** The workers of a training on several processes or machines, and which one this process is. */
export interface ClusterSpec {
  /** Where each worker listens, `host:port`, by rank; the first is the chief. */
  readonly workers: readonly string[]
  /** The rank of this process, from 0. */
  readonly index: number
}

/** Variables of an environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The cluster that the environment of a process names; undefined where it names none.
 *
 * | who sets it | variables |
 * |---|---|
 * | by hand, as for TensorFlow | `TF_CONFIG` |
 * | torchrun and its like | `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`; of several machines also `LOCAL_WORLD_SIZE` and our `PMOE_HOSTS` |
 * | Slurm's srun | `SLURM_STEP_NUM_TASKS`, `SLURM_PROCID`, `SLURM_STEP_NODELIST`, `SLURM_STEP_TASKS_PER_NODE` |
 * | an indexed job of Kubernetes | `JOB_COMPLETION_INDEX`, `HOSTNAME`, and our `PMOE_WORKERS` and `PMOE_SERVICE` |
 *
 * The first of these that is there counts. Ports begin at `PMOE_PORT` where the environment says none; Slurm's follow from the
 * number of the job, so that two jobs on one node seldom meet. An array job of Slurm and an indexed job without `PMOE_WORKERS` are runs
 * of their own, no cluster.
 *
 * @throws RangeError naming the variable, what it must be and what it is
 */
export function clusterSpec(env: Environment): ClusterSpec | undefined {
  return ofTensorFlow(env) ?? ofTorchrun(env) ?? ofSlurm(env) ?? ofKubernetes(env)
}

function ofTensorFlow({ TF_CONFIG: text }: Environment): ClusterSpec | undefined {
  if (!text?.trim()) return undefined
  const { cluster, task } = parsedConfig(text)
  const jobs = asRecord(cluster, 'cluster')
  if (Object.keys(jobs).length === 0) return undefined
  const others = Object.keys(jobs).filter(name => name !== 'chief' && name !== 'worker')
  if (others.length > 0) {
    refuse(`TF_CONFIG cluster must have the jobs chief and worker alone, got ${others.join(', ')}`)
  }
  const chiefs = addressesOf(jobs.chief, 'chief')
  if (chiefs.length > 1) {
    refuse(`TF_CONFIG cluster.chief must have 1 address, got ${chiefs.length} (${chiefs.join(', ')})`)
  }
  const ofJobs = { chief: chiefs, worker: addressesOf(jobs.worker, 'worker') }
  const { type = 'worker', index } = asRecord(task, 'task')
  if (type !== 'chief' && type !== 'worker') {
    refuse(`TF_CONFIG task.type must be chief or worker, got ${shown(type)}`)
  }
  const own = ofJobs[type]
  const number = wholeNumber(index, 'TF_CONFIG task.index')
  if (number >= own.length) {
    refuse(`TF_CONFIG task.index must be below the ${own.length} addresses of cluster.${type}, got ${number}`)
  }
  const workers = [...ofJobs.chief, ...ofJobs.worker]
  return checkedSpec(workers, number + (type === 'worker' ? chiefs.length : 0), 'TF_CONFIG cluster')
}

function parsedConfig(text: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(JSON.parse(text), undefined)
  } catch (error) {
    if (error instanceof RangeError) throw error
    return refuse(`TF_CONFIG must be JSON, got ${text} (${(error as Error).message})`)
  }
}

function asRecord(value: unknown, key: string | undefined): Readonly<Record<string, unknown>> {
  if (value === undefined && key !== undefined) return {}
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  return refuse(`TF_CONFIG${key === undefined ? '' : ` ${key}`} must be an object, got ${shown(value)}`)
}

function addressesOf(value: unknown, job: string): readonly string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.length > 0 && value.every(each => typeof each === 'string')) return value
  return refuse(`TF_CONFIG cluster.${job} must be a list of addresses host:port, got ${shown(value)}`)
}

function ofTorchrun(env: Environment): ClusterSpec | undefined {
  const { RANK, WORLD_SIZE, MASTER_ADDR: master, MASTER_PORT, LOCAL_WORLD_SIZE, PMOE_HOSTS } = env
  if (!RANK || !WORLD_SIZE || !master || !MASTER_PORT) return undefined
  const size = wholeNumber(WORLD_SIZE, 'WORLD_SIZE', 1)
  const perHost = LOCAL_WORLD_SIZE ? wholeNumber(LOCAL_WORLD_SIZE, 'LOCAL_WORLD_SIZE', 1) : size
  const index = rankBelow(size, RANK, 'RANK')
  // The master's port itself is that of the launcher's own store.
  const port = portNumber(MASTER_PORT, 'MASTER_PORT') + 1
  const hosts = PMOE_HOSTS ? PMOE_HOSTS.split(',').map(host => host.trim()) : [master]
  const needed = Math.ceil(size / perHost)
  if (hosts.length !== needed) {
    refuse(
      `PMOE_HOSTS must name the ${needed} machines in the order of their ranks, got ${hosts.length} ` +
        `(${hosts.join(', ')}; WORLD_SIZE ${size}, LOCAL_WORLD_SIZE ${perHost})`,
    )
  }
  const workers = Array.from(
    { length: size },
    (_, rank) => `${hosts[Math.floor(rank / perHost)]}:${port + (rank % perHost)}`,
  )
  return checkedSpec(workers, index, 'WORLD_SIZE')
}

/** Ports that jobs of Slurm take unless `PMOE_PORT` says otherwise: from the first on, below those that systems give out. */
const SLURM_PORTS = { first: 15_000, count: 15_000 }

function ofSlurm(env: Environment): ClusterSpec | undefined {
  const tasks = env.SLURM_STEP_NUM_TASKS
  if (!tasks || tasks === '1') return undefined
  const size = wholeNumber(tasks, 'SLURM_STEP_NUM_TASKS', 1)
  const index = rankBelow(size, env.SLURM_PROCID, 'SLURM_PROCID')
  const nodes = expandedNodes(required(env, 'SLURM_STEP_NODELIST'))
  const perNode = tasksOfNodes(required(env, 'SLURM_STEP_TASKS_PER_NODE'))
  const total = perNode.reduce((sum, each) => sum + each, 0)
  if (perNode.length !== nodes.length || total !== size) {
    refuse(
      `SLURM_STEP_TASKS_PER_NODE must give ${size} tasks on ${nodes.length} nodes, got ${total} on ${perNode.length} ` +
        `(${env.SLURM_STEP_TASKS_PER_NODE})`,
    )
  }
  const job = wholeNumber(required(env, 'SLURM_JOB_ID'), 'SLURM_JOB_ID')
  const step = wholeNumber(env.SLURM_STEP_ID ?? '0', 'SLURM_STEP_ID')
  const port = env.PMOE_PORT
    ? portNumber(env.PMOE_PORT, 'PMOE_PORT')
    : SLURM_PORTS.first + ((job * 64 + step * 8) % SLURM_PORTS.count)
  const isCyclic = env.SLURM_DISTRIBUTION?.startsWith('cyclic') ?? false
  const places = isCyclic ? placedInTurn(perNode) : placedInBlocks(perNode)
  const node = places[index]?.node
  if (env.SLURM_NODEID && Number(env.SLURM_NODEID) !== node) {
    refuse(
      `SLURM_DISTRIBUTION must be block or cyclic, got ${env.SLURM_DISTRIBUTION ?? 'none'} ` +
        `(task ${index} is on node ${env.SLURM_NODEID}, not ${node})`,
    )
  }
  const workers = places.map(place => `${nodes[place.node]}:${port + place.local}`)
  return checkedSpec(workers, index, 'SLURM_STEP_NODELIST')
}

/** Where a task runs: its node, and which of the tasks there it is. */
interface TaskPlace {
  readonly node: number
  readonly local: number
}

function placedInBlocks(perNode: readonly number[]): TaskPlace[] {
  return perNode.flatMap((tasks, node) => Array.from({ length: tasks }, (_, local) => ({ node, local })))
}

/** One task a node at a time, as long as a node has tasks left. */
function placedInTurn(perNode: readonly number[]): TaskPlace[] {
  return Array.from({ length: Math.max(...perNode) }, (_, local) => local).flatMap(local =>
    perNode.flatMap((tasks, node) => (local < tasks ? [{ node, local }] : [])),
  )
}

/** The port of the workers of an indexed job, each of which has a pod of its own. */
const KUBERNETES_PORT = 2222

function ofKubernetes(env: Environment): ClusterSpec | undefined {
  const { JOB_COMPLETION_INDEX, PMOE_WORKERS, PMOE_PORT } = env
  if (!JOB_COMPLETION_INDEX || !PMOE_WORKERS) return undefined
  const size = wholeNumber(PMOE_WORKERS, 'PMOE_WORKERS', 1)
  const index = rankBelow(size, JOB_COMPLETION_INDEX, 'JOB_COMPLETION_INDEX')
  const service = required(env, 'PMOE_SERVICE')
  const host = required(env, 'HOSTNAME')
  const ending = `-${index}`
  if (!host.endsWith(ending)) {
    refuse(`HOSTNAME must end with ${ending}, as that of pod ${index} of an indexed job, got ${host}`)
  }
  const job = host.slice(0, -ending.length)
  const port = PMOE_PORT ? portNumber(PMOE_PORT, 'PMOE_PORT') : KUBERNETES_PORT
  const workers = Array.from({ length: size }, (_, rank) => `${job}-${rank}.${service}:${port}`)
  return checkedSpec(workers, index, 'PMOE_WORKERS')
}

function checkedSpec(workers: readonly string[], index: number, where: string): ClusterSpec {
  for (const address of workers) {
    const port = /^(?:[^\s:/]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(address)?.[1]
    if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) continue
    refuse(`${where} must have addresses host:port with ports in [1, 65535], got ${address}`)
  }
  const twice = workers.find((address, rank) => workers.indexOf(address) !== rank)
  if (twice !== undefined) refuse(`${where} must have every address once, got ${twice} twice`)
  return { workers, index }
}

function rankBelow(size: number, value: string | undefined, name: string): number {
  const rank = wholeNumber(value, name)
  return rank < size ? rank : refuse(`${name} must be in [0, ${size - 1}], got ${rank}`)
}

function portNumber(value: string, name: string): number {
  const port = wholeNumber(value, name, 1)
  return port <= 65_535 ? port : refuse(`${name} must be a port in [1, 65535], got ${value}`)
}

function wholeNumber(value: unknown, name: string, least = 0): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= least) return number
  return refuse(`${name} must be an integer of at least ${least}, got ${shown(value)}`)
}

function required(env: Environment, name: string): string {
  return env[name] || refuse(`${name} must be set, got nothing`)
}

function refuse(what: string): never {
  throw new RangeError(`cluster: ${what}`)
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : typeof value === 'string' ? value : JSON.stringify(value)
}
