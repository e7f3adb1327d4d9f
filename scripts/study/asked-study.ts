import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import { datasetSource } from '../../src/files/data-folder.js'
import { type Lock, lockFolder, refuseLocked } from '../../src/files/lock.js'
import { isPrepared, readManifest } from '../../src/files/prepared/prepared-set.js'
import type { ScaleName, TrainingExperiment } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { datasetOptions } from '../run/run-data.js'
import { packageVersion } from '../terminal/package-version.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { cellData } from './cell-run.js'
import { type StudyConfig, studyConfig } from './study-config.js'
import { refuseForeign, type StudyFolder, startStudy, studyIn } from './study-folder.js'

/** How long the processes of a study may take that end because the one that started them was killed, in milliseconds. */
const othersEndMs = 10_000

/** The flags that decide what a study is, and where. */
export interface AskedStudy {
  readonly data?: string
  readonly standIn?: string
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
 * Begins a study, or opens the one that is there; what is not asked for is as it is there.
 *
 * @param options.shared lets other processes work on it that share it too
 * @throws UsageError for an unknown name, missing data, or settings that differ from those of the study that is there;
 *   LockedError naming the process that works on it
 */
export async function openAskedStudy(
  name: string,
  asked: AskedStudy,
  { shared = false }: { readonly shared?: boolean } = {},
): Promise<OpenedStudy> {
  const experiment = asUsage(() => experimentNamed(name))
  const directory =
    asked.out ?? join('runs', `study-${experiment.name}${asked.scale === 'small' ? '-small' : ''}`)
  if (!shared) await refuseLocked(directory, 'study')
  const before = asked.force ? undefined : await studyIn(directory)
  const request = {
    experiment: experiment.name,
    ...(before && {
      scale: before.scale,
      seeds: before.seeds,
      sharedSubset: before.sharedSubset,
      ...(before.data !== null && { data: before.data }),
      ...(before.standIn !== null && { standIn: before.standIn }),
    }),
    ...(asked.scale && { scale: asked.scale }),
    ...(asked.seeds !== undefined && { seeds: asked.seeds }),
    ...(asked.sharedSubset !== undefined && { sharedSubset: asked.sharedSubset }),
    ...(asked.data !== undefined && { data: resolve(asked.data) }),
    ...(asked.standIn !== undefined && { standIn: resolve(asked.standIn) }),
  }
  const { backend, versions } = await backendOf(asked, before)
  const config = studyConfig(request, backend, versions)
  checkData(config)
  await refuseForeign(directory)
  const lock = await lockFolder(directory, 'study', { shared, waitMs: othersEndMs })
  try {
    return { folder: await startStudy(directory, config, { force: asked.force === true, shared }), lock }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function backendOf(
  { backend: asked = 'auto' }: AskedStudy,
  before: StudyConfig | undefined,
): Promise<Pick<StudyConfig, 'backend' | 'versions'>> {
  const choice = await useBackend(asked === 'auto' && before ? before.backend : asked)
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

/**
 * Checks that a study has its files.
 *
 * @throws UsageError saying what to fetch, or which stand-in there is
 */
function checkData(config: StudyConfig): void {
  const { data, standIn, experiment: name } = config
  const experiment = experimentNamed(name)
  if (experiment.kind === 'cost') {
    if (data === null && standIn === null) return
    throw new UsageError(`study: --data and --stand-in must be left out for ${name}: it takes random images`)
  }
  if (data !== null && standIn !== null) {
    throw new UsageError('study: --data and --stand-in must not be given together')
  }
  for (const [flag, folder] of [
    ['--data', data],
    ['--stand-in', standIn],
  ]) {
    if (folder !== null && folder !== undefined && !existsSync(folder)) {
      throw new UsageError(`study: ${flag} must name a folder, got ${folder}, which is not there`)
    }
  }
  const { dataset, folder } = cellData(config)
  if (datasetEntry(dataset).source !== 'folder' || folder !== undefined) return
  const { fetch, standIn: stand } = experiment.data
  throw new UsageError(
    `study: ${name} must have its data, got none. ${fetch} Otherwise: ${stand.sentence} ` +
      `${stand.folder ?? ''}, then give the folder as --stand-in.`,
  )
}

/**
 * Checks, before any cell runs, that there are as many images as the largest cell asks for, without decoding them where
 * that is not needed.
 *
 * @returns what is to be said of the images, a sentence each
 * @throws UsageError naming the images asked for and those there are; Error when files are missing or damaged
 */
export async function checkImages(config: StudyConfig): Promise<readonly string[]> {
  const { grid } = config
  if (grid.kind !== 'training') return []
  const { dataset, folder } = cellData(config)
  // What was prepared is checked as it is opened.
  if (folder !== undefined && (await isPrepared(folder))) {
    return unusedNotes((await readManifest(folder)).validation?.count)
  }
  const entry = datasetEntry(dataset)
  const { testSamples } = grid.flags as { readonly testSamples?: number }
  const options = datasetOptions(
    {
      name: dataset,
      data: folder ?? null,
      samples: Math.max(...grid.samples),
      testSamples: testSamples ?? null,
    },
    1,
  )
  const source = datasetSource(entry, folder)
  try {
    const { validation, notes = [] } = await (entry.catalog
      ? entry.catalog(source, options)
      : entry.load(source, options))
    return [...notes, ...unusedNotes(validation?.count)]
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const { folder: more = '' } = (experimentNamed(config.experiment) as TrainingExperiment).data.standIn
    const hint = config.standIn !== null && more !== '' ? ` (${more})` : ''
    throw new UsageError(`study: ${config.experiment} must have images enough: ${error.message}${hint}`, {
      cause: error,
    })
  }
}

/** @param count validation images */
function unusedNotes(count = 0): string[] {
  if (count === 0) return []
  return [
    `The ${count} validation images are not used: each run has a fixed number of epochs, and is tested once on the test images.`,
  ]
}
