import { join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { streamOf } from '../../../src/data/image-stream.js'
import { type FeatureFiles, featureFiles } from '../../../src/files/features/feature-files.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import { auxiliaryCoefficients, checkTermsTrained } from '../../../src/train/auxiliary-loss.js'
import { type FedModel, isRegionModel } from '../../../src/train/feed.js'
import { frozenSplit } from '../../../src/train/frozen/frozen-body.js'
import { freezeLayers } from '../../../src/train/frozen/frozen-layers.js'
import { type FreezeOptions, freezeOptions } from '../../../src/train/frozen/frozen-part.js'
import { checkTrainable } from '../../../src/train/frozen/trained-parts.js'
import { unfreezingStages } from '../../../src/train/frozen/unfreezing.js'
import { packageVersion } from '../../terminal/package-version.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { NewRun } from '../new-run.js'
import type { RunData } from '../run-data.js'

/** Which part of the network of a run is not trained. */
export function freezingOf({ training }: RunConfig): FreezeOptions {
  return freezeOptions(training)
}

/**
 * Checks what a configuration says of frozen layers and of the terms of the loss that they can change, before anything is written.
 *
 * @throws RangeError for layers that the model does not have, when nothing is left to be trained, or a term that is not there or that
 *   nothing trained changes
 */
export function checkFrozen(model: tfl.LayersModel, config: RunConfig): void {
  const { freezeUntil, unfreezeEvery } = config.training
  const freezing = freezingOf(config)
  if (unfreezeEvery !== undefined) {
    if (freezeUntil === undefined) {
      throw new UsageError(
        `train: --unfreeze-every must come with --freeze-until, got ${unfreezeEvery} without a layer`,
      )
    }
    unfreezingStages(model, freezeUntil)
  }
  const frozen = freezeLayers(model, freezing)
  try {
    checkTrainable(model, freezing)
    const coefficients = auxiliaryCoefficients(model, config.training)
    if (unfreezeEvery === undefined) checkTermsTrained(model, coefficients, frozen.evaluated)
  } finally {
    frozen.restore()
  }
}

/**
 * Checks that features can be cached where that is asked for.
 *
 * @throws UsageError where no layers are frozen before the lowest trained one, or the training images vary
 */
export function checkFeatureCache(network: FedModel, config: RunConfig, { train }: NewRun['data']): void {
  const { featureCache, featureFolder } = config.training
  if (featureCache === false && featureFolder !== undefined) {
    throw new UsageError(
      `train: --feature-folder must be left out with --no-feature-cache, got ${featureFolder}`,
    )
  }
  if (!featureCache) return
  if (isRegionModel(network)) {
    throw new UsageError('train: --feature-cache must be left out for images that are read in parts')
  }
  if (!hasFrozenBody(network, config)) {
    throw new UsageError(
      'train: --feature-cache must come with frozen layers before the first one that is trained, got none after which a single ' +
        'tensor passes (--freeze-until or --train-only freezes them)',
    )
  }
  if (streamOf(train as RunData['train']).orderOf) return
  throw new UsageError(
    'train: --feature-cache must come with training images that are the same in every epoch, got augmented ones ' +
      '(--augment none, or leave it out: features of the test images are cached nevertheless)',
  )
}

/** What the user should know of frozen layers, a sentence each. */
export function freezingNotes({ model, training }: RunConfig): readonly string[] {
  const { freezeUntil, trainOnly } = training
  const isFrozen = freezeUntil !== undefined || trainOnly !== undefined
  if (!isFrozen || model.options.kind === 'init') return []
  return [
    'The frozen layers keep the weights that they begin with, drawn at random (--init takes a trained network).',
  ]
}

function hasFrozenBody(model: tfl.LayersModel, config: RunConfig): boolean {
  const frozen = freezeLayers(model, freezingOf(config))
  try {
    const { evaluated } = frozen.part
    return frozenSplit(model, { evaluated, terms: new Set(), changing: [] }) !== undefined
  } finally {
    frozen.restore()
  }
}

/** Where the features of a run are kept; undefined where they are not to be. */
export function featuresOf({ directory, config }: RunFolder): FeatureFiles | undefined {
  const { featureCache, featureFolder } = config.training
  if (featureCache === false) return undefined
  return featureFiles(featureFolder ?? join(directory, 'features'), {
    // Nobody but the run uses a folder in its own.
    isShared: featureFolder !== undefined,
    // Other versions may round otherwise.
    computedBy: `${packageVersion()} ${config.precision}`,
  })
}
