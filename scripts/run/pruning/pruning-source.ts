import type * as tfl from '@tensorflow/tfjs-layers'
import {
  type Compensation,
  CRITERION_KINDS,
  type Criterion,
  type ReferenceRouters,
} from '../../../src/prune/index.js'
import { chosenMixtures } from '../../../src/prune/mixtures/find-mixtures.js'
import { checkSelection, type Selection } from '../../../src/prune/selection.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import { dataPath } from '../../terminal/data-path.js'
import { asUsage } from '../../terminal/usage-error.js'
import { loadTrained } from '../trained-model.js'
import { type PruningImages, pruningImages } from './pruning-images.js'
import { INITIAL, pruningReference } from './pruning-reference.js'

/** What is asked for of the network, its reference and its images. */
export interface SourceRequest extends Selection {
  readonly criterion: Criterion | 'all'
  readonly reference?: string
  readonly layer?: string
  readonly compensate: Compensation
  readonly data?: string
  readonly seed?: number
}

/** A network that is to be pruned, and what it is pruned and judged by. */
export interface PruningSource {
  readonly run: RunFolder
  readonly model: tfl.LayersModel
  /** Of random scores, of the images that are drawn, and of the training of the pruned network. */
  readonly seed: number
  /** The images of the run, where they are now. */
  readonly dataset: RunConfig['dataset']
  readonly reference?: ReferenceRouters
  readonly images?: PruningImages
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[]
  readonly signal: AbortSignal
}

/**
 * Loads the network of a run, on the current backend, and what it is pruned and judged by.
 *
 * @throws UsageError for a network without such a mixture, or more experts to keep than there are; Error where a reference
 *   or images that are needed are not there
 */
export async function openSource(
  run: RunFolder,
  request: SourceRequest,
  signal: AbortSignal,
): Promise<PruningSource> {
  const { config } = run
  const seed = request.seed ?? config.seed
  const dataset =
    request.data === undefined ? config.dataset : { ...config.dataset, data: dataPath(request.data) }
  const model = await loadTrained(run)
  asUsage(() => checkMixtures(model, request))
  const notes: string[] = []
  const reference = await referenceFor(run, request, notes)
  signal.throwIfAborted()
  const images = await imagesFor(dataset, seed, request, notes)
  signal.throwIfAborted()
  return {
    run,
    model,
    seed,
    dataset,
    notes,
    signal,
    ...(reference && { reference }),
    ...(images && { images }),
  }
}

/** Before images are loaded, which may take long. */
function checkMixtures(
  model: tfl.LayersModel,
  { layer, criterion, keep, ratio, threshold }: SourceRequest,
): void {
  const selection = {
    ...(keep !== undefined && { keep }),
    ...(ratio !== undefined && { ratio }),
    ...(threshold !== undefined && { threshold }),
  }
  for (const { numExperts, path } of chosenMixtures(model, layer, 'prune')) {
    if (criterion !== 'all' || keep !== undefined) checkSelection(selection, numExperts, path, 'prune')
  }
}

/** The reference that is named, or else the start of the run where the criterion needs one. */
async function referenceFor(
  run: RunFolder,
  { reference, criterion }: SourceRequest,
  notes: string[],
): Promise<ReferenceRouters | undefined> {
  if (reference !== undefined) return pruningReference(run, reference)
  if (criterion === 'all') {
    return pruningReference(run, INITIAL).catch((error: Error) => {
      notes.push(`Criteria with a reference are left out. ${error.message}`)
      return undefined
    })
  }
  if (!needs(criterion).includes('reference')) return undefined
  notes.push(`Compared with the routers that ${run.directory} started with; --reference names others.`)
  return pruningReference(run, INITIAL)
}

/** The images of the run; undefined where they are not at hand and nothing but the accuracy needs them. */
async function imagesFor(
  dataset: RunConfig['dataset'],
  seed: number,
  { criterion, compensate, data }: SourceRequest,
  notes: string[],
): Promise<PruningImages | undefined> {
  try {
    return await pruningImages(dataset, seed)
  } catch (cause) {
    const { message } = cause as Error
    const reader =
      criterion !== 'all' && needs(criterion).includes('data')
        ? `criterion ${criterion}`
        : compensate === 'mean' && '--compensate mean'
    if (reader) {
      throw new Error(
        `prune: ${reader} must have the images of the run, got: ${message} (--data names their folder)`,
        {
          cause,
        },
      )
    }
    if (data !== undefined) throw cause
    notes.push(`The images of the run are not at hand, so that no accuracy is measured: ${message}`)
    return undefined
  }
}

function needs(criterion: Criterion): readonly string[] {
  return CRITERION_KINDS[criterion].needs
}
