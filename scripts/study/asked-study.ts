import { join, resolve } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { type Lock, lockFolder, refuseLocked } from '../../src/files/lock.js'
import type { ScaleName } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { dataPath } from '../terminal/data-path.js'
import { packageVersion } from '../terminal/package-version.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { studyKind } from './kinds/kinds.js'
import { type StudyConfig, studyConfig } from './study-config.js'
import { refuseForeign, type StudyFolder, startStudy, studyIn } from './study-folder.js'

/** How long to wait for the workers of a study whose main process was killed to end, in milliseconds. */
const workersEndMs = 10_000

/** The flags that decide what a study is, and where. */
export interface AskedStudy {
  readonly data?: string
  readonly standIn?: string
  readonly network?: string
  readonly seeds?: number
  readonly scale?: ScaleName
  readonly sharedSubset?: boolean
  readonly backend?: BackendName | 'auto'
  readonly out?: string
  readonly force?: boolean
}

/** A study that this process works on. */
export interface OpenedStudy {
  readonly folder: StudyFolder
  /** To be released when the work is done. */
  readonly lock: Lock
}

/**
 * Begins a study, or opens the one in its folder; settings that are not requested stay as they are there.
 *
 * @param options.shared whether other processes that share the study too may work on it
 * @throws UsageError for an unknown name, missing data, or settings that differ from those of the study in the folder;
 *   LockedError naming the process that works on it
 */
export async function openAskedStudy(
  name: string,
  requested: AskedStudy,
  { shared = false }: { readonly shared?: boolean } = {},
): Promise<OpenedStudy> {
  const experiment = asUsage(() => experimentNamed(name))
  const directory = studyDirectory(experiment.name, requested)
  if (!shared) await refuseLocked(directory, 'study')
  const existing = requested.force ? undefined : await studyIn(directory)
  const request = {
    experiment: experiment.name,
    ...(existing && {
      scale: existing.scale,
      seeds: existing.seeds,
      sharedSubset: existing.sharedSubset,
      ...(existing.data !== null && { data: existing.data }),
      ...(existing.standIn !== null && { standIn: existing.standIn }),
      ...(existing.network !== undefined && { network: existing.network }),
    }),
    ...(requested.scale && { scale: requested.scale }),
    ...(requested.seeds !== undefined && { seeds: requested.seeds }),
    ...(requested.sharedSubset !== undefined && { sharedSubset: requested.sharedSubset }),
    ...(requested.data !== undefined && { data: dataPath(requested.data) }),
    ...(requested.standIn !== undefined && { standIn: resolve(requested.standIn) }),
    ...(requested.network !== undefined && { network: resolve(requested.network) }),
  }
  const { backend, versions } = await backendOf(requested, existing)
  const config = studyConfig(request, backend, versions)
  const { kind, experiment: ofStudy } = studyKind(config)
  kind.checkFiles(ofStudy, config)
  if (config.network !== undefined && !kind.takesNetwork) {
    throw new UsageError(
      `study: --network must be left out for ${experiment.name}: it takes no pretrained network`,
    )
  }
  await refuseForeign(directory)
  const lock = await lockFolder(directory, 'study', { shared, waitMs: workersEndMs })
  try {
    return { folder: await startStudy(directory, config, { force: requested.force === true, shared }), lock }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** The folder that is asked for, or the one that a study has otherwise. */
export function studyDirectory(name: string, { out, scale }: Pick<AskedStudy, 'out' | 'scale'>): string {
  return out ?? join('runs', `study-${name}${scale === 'small' ? '-small' : ''}`)
}

async function backendOf(
  { backend: requested = 'auto' }: AskedStudy,
  existing: StudyConfig | undefined,
): Promise<Pick<StudyConfig, 'backend' | 'versions'>> {
  const choice = await useBackend(requested === 'auto' && existing ? existing.backend : requested)
  return {
    backend: choice.name,
    versions: {
      patchMoe: packageVersion(),
      tfjs: tf.version_core,
      node: process.versions.node,
      ...(choice.tensorflow && { tensorflow: choice.tensorflow.version }),
    },
  }
}
