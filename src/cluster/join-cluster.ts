import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { type BackendChoice, useBackend } from '../backend/choose.js'
import { type CollectiveAddon, loadCollectiveAddon } from '../backend/native/collective-addon.js'
import { findNative, hideErrorLog, packageRoot, whyUnusable } from '../backend/native/native.js'
import { hasNvidiaDriver } from '../backend/native/nvidia.js'
import type { Cluster } from '../train/cluster/cluster.js'
import type { ClusterSpec } from './cluster-spec.js'
import { Collective } from './collective.js'
import { meetWorkers } from './meeting.js'
import { serverDef, taskName } from './server-def.js'
import { explainedFailure } from './worker-failure.js'

/** How a worker joins its cluster. */
export interface JoinOptions {
  /** After how many seconds without a sign of life a worker counts as lost; 10 unless given. */
  readonly heartbeat?: number
  /** How many seconds the workers wait for each other at the start; 300 unless given. */
  readonly startTimeout?: number
  /** Computes on a GPU, one of each worker's own; on the processor unless given or where there is none. */
  readonly gpu?: boolean
}

/** A cluster that this process has joined. */
export interface JoinedCluster extends Cluster {
  readonly backend: BackendChoice
  /** Milliseconds that this worker has waited for others in sums. */
  waitedMs(): number
}

const DEFAULTS = { heartbeat: 10, startTimeout: 300 }

/** How long TensorFlow's servers wait for each other, once all workers have met; milliseconds. */
const REGISTER_MS = 60_000

/**
 * Joins a cluster: loads native TensorFlow, makes it the current backend, and has it wait for the other workers. A process can do so
 * once, before it loads TensorFlow in another way.
 *
 * TensorFlow's server listens at this worker's own address alone. It asks nobody for a password: whoever reaches that address can use it.
 *
 * @throws Error where there is no native TensorFlow, the own address is taken or not of this machine, or the others do not come in time
 */
export async function joinCluster(spec: ClusterSpec, options: JoinOptions = {}): Promise<JoinedCluster> {
  const {
    heartbeat = DEFAULTS.heartbeat,
    startTimeout = DEFAULTS.startTimeout,
    gpu = hasNvidiaDriver(),
  } = options
  checkSeconds({ heartbeat, startTimeout })
  const { workers, index } = spec
  const address = await ownAddress(workers[index] as string)
  const addon = await loadedAddon(gpu)
  await meetWorkers(spec, address, startTimeout)
  addon.configure(
    serverDef({
      workers,
      index,
      registerTimeoutMs: REGISTER_MS,
      heartbeatMs: Math.round(heartbeat * 1000),
      usesGpu: gpu,
    }),
    `${taskName(index)}/`,
    address,
    2 * REGISTER_MS,
  )
  const backend = await startedBackend(addon, spec, gpu)
  const explain = (error: Error) => explainedFailure(error, { addon, spec })
  const collective = new Collective({ addon, size: workers.length, explain, firstTimeout: startTimeout })
  return {
    backend,
    size: workers.length,
    index,
    versions: versionsOf(backend),
    nameOf: rank => `worker ${rank} (${workers[rank]})`,
    startAllReduce: (values, wire) => collective.startAllReduce(values, wire),
    allReduce: (values, wire) => collective.allReduce(values, wire),
    waitedMs: () => collective.waitedMs,
  }
}

function versionsOf({ tensorflow }: BackendChoice): Readonly<Record<string, string>> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    readonly version: string
  }
  return {
    'patch-moe': version,
    'Node.js': process.versions.node,
    TensorFlow: tensorflow?.version ?? 'none',
  }
}

function checkSeconds(seconds: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(seconds)) {
    if (value >= 1 && value <= 86_400) continue
    throw new RangeError(`joinCluster: ${name} must be in [1, 86400] seconds, got ${value}`)
  }
}

async function loadedAddon(gpu: boolean): Promise<CollectiveAddon> {
  const candidates = findNative().filter(candidate => !whyUnusable(candidate))
  const candidate = candidates.find(each => each.gpu === gpu) ?? candidates[0]
  if (candidate) return loadCollectiveAddon(candidate)
  throw new Error(
    'joinCluster: native TensorFlow must be installed, got none (run `npx pmoe native` to provide it)',
  )
}

/** Loads TensorFlow, which then waits for the other workers. */
async function startedBackend(
  addon: CollectiveAddon,
  { workers, index }: ClusterSpec,
  gpu: boolean,
): Promise<BackendChoice> {
  // TensorFlow reports the loss of a worker in dozens of lines, of which ours says what matters.
  hideErrorLog()
  try {
    return await useBackend(gpu ? 'auto' : 'tensorflow')
  } catch (cause) {
    const failure = addon.failure()
    if (failure === undefined) throw cause
    throw new Error(
      `joinCluster: all ${workers.length} workers must join, got a failure of worker ${index} (${workers[index]}): ` +
        firstLine(failure),
      { cause },
    )
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text
}

/**
 * The address of IPv4, or else IPv6, at which this worker listens.
 *
 * @throws Error where its name is unknown
 */
async function ownAddress(worker: string): Promise<string> {
  const [, host = ''] = /^\[?(.*?)\]?:\d+$/.exec(worker) ?? []
  const found = await lookup(host, { all: true }).catch((cause: Error) => {
    throw new Error(`joinCluster: ${worker} must be an address of this machine, got ${cause.message}`, {
      cause,
    })
  })
  const { address } = found.find(each => !isIPv6(each.address)) ?? found[0] ?? { address: host }
  return address
}
