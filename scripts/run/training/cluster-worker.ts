import { setTimeout as pause } from 'node:timers/promises'
import { endWithParent } from '../../../src/backend/self-test/parent-watch.js'
import { type ClusterSpec, clusterSpec, type Environment } from '../../../src/cluster/cluster-spec.js'
import type { JoinedCluster } from '../../../src/cluster/join-cluster.js'
import { PARENT_VARIABLE } from '../../../src/cluster/launch.js'
import { WorkerLostError } from '../../../src/cluster/worker-failure.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import { type Cluster, gatheredTexts, workerName } from '../../../src/train/cluster/cluster.js'
import type { TrainingLog } from '../../terminal/training-log.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'

/** What a user says of the workers of a training, besides what the environment says. */
export interface ClusterRequest {
  /** Seconds without a sign of life after which a worker counts as lost. */
  readonly heartbeat?: number
  /** Seconds that the workers wait for each other at the start. */
  readonly startTimeout?: number
  readonly backend?: string
  readonly batchSize?: number | 'auto'
  readonly seeds?: number
  readonly folds?: number
}

/**
 * Joins the cluster that the environment names; undefined where it names none, or one worker alone.
 *
 * @throws UsageError for an environment or flags that do not fit; Error as `joinCluster`
 */
export async function joinedCluster(
  request: ClusterRequest,
  env: Environment = process.env,
): Promise<JoinedCluster | undefined> {
  const spec = asUsage(() => clusterSpec(env))
  // One worker alone must not outlive its launcher either.
  const parent = Number(env[PARENT_VARIABLE])
  if (parent > 0) endWithParent(parent)
  if (!spec || spec.workers.length === 1) return undefined
  checkFlags(request, spec)
  const { joinCluster } = await import('../../../src/cluster/join-cluster.js')
  const { heartbeat, startTimeout, backend } = request
  return joinCluster(spec, {
    ...(heartbeat !== undefined && { heartbeat }),
    ...(startTimeout !== undefined && { startTimeout }),
    ...(backend === 'tensorflow' && { gpu: false }),
    ...(backend === 'tensorflow-gpu' && { gpu: true }),
  })
}

function checkFlags(
  { backend = 'auto', batchSize, seeds, folds }: ClusterRequest,
  { workers }: ClusterSpec,
): void {
  const where = `must be with ${workers.length} workers`
  checkWorkersBackend(backend, workers.length, '--backend')
  if (batchSize === 'auto') {
    throw new UsageError(
      `train: --batch-size ${where} a number of images, of all workers together, got auto (machines may differ)`,
    )
  }
  for (const [flag, value] of Object.entries({ seeds, folds })) {
    if (value === undefined) continue
    throw new UsageError(
      `train: --${flag} must be left out with ${workers.length} workers, which train one run together, got ${value}`,
    )
  }
}

/**
 * Checks that workers can add up what a backend computes: TensorFlow's collective operations do that.
 *
 * @param what where the backend is named, for the error
 * @throws UsageError for another backend
 */
export function checkWorkersBackend(backend: string, workers: number, what: string): void {
  if (['auto', 'tensorflow', 'tensorflow-gpu'].includes(backend)) return
  throw new UsageError(
    `train: ${what} must be with ${workers} workers tensorflow or tensorflow-gpu, got ${backend}`,
  )
}

/**
 * Does something that every worker has to do before the training begins; where one cannot, all say so and end.
 *
 * @throws what failed here; Error naming the worker where something failed elsewhere
 */
export async function startedTogether<T>(
  cluster: Cluster,
  start: () => Promise<T>,
  undo: (done: T) => Promise<void>,
): Promise<T> {
  const own = await start().then(
    done => ({ done }),
    (error: Error) => ({ error }),
  )
  const failures = await gatheredTexts(cluster, 'error' in own ? own.error.message || 'an error' : '')
  if ('error' in own) throw own.error
  const failed = failures.findIndex(text => text !== '')
  if (failed < 0) return own.done
  await undo(own.done)
  throw new Error(
    `train: all ${cluster.size} workers must be able to start, got a failure of ${workerName(cluster, failed)}: ${failures[failed]}`,
  )
}

/** The run as a worker sees it that is not the chief: nothing of it is kept. */
export function unkeptRun(config: RunConfig, { directory }: Pick<RunFolder, 'directory'>): RunFolder {
  const nothing = async () => undefined
  const refuse = async (): Promise<never> => {
    throw new Error(`train: only the chief of a cluster may read the run in ${directory}, got another worker`)
  }
  return {
    directory,
    config,
    checkpoints: { write: nothing, read: nothing },
    epochs: async () => [],
    recordEpoch: nothing,
    restart: nothing,
    saveModel: nothing,
    hasModel: async () => false,
    loadModel: refuse,
    loadInitial: refuse,
    startingRouters: nothing,
    recordPruning: nothing,
  }
}

/** The log of a worker that is not the chief: what happens is the same everywhere, so it says nothing. */
export const silentLog: TrainingLog = {
  note: () => undefined,
  event: () => undefined,
  record: () => undefined,
  close: () => undefined,
}

/** How long a worker that notices a loss stays, so that others find it alive when they look for who is lost; milliseconds. */
const STAY_MS = 4_000

/** Lets the others find out who is lost before this worker goes, too. */
export async function stayForOthers(error: unknown): Promise<void> {
  if (error instanceof WorkerLostError) await pause(STAY_MS)
}
