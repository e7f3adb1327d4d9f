import { UsageError } from '../terminal/usage-error.js'
import type { Draft, GivenFlags } from './train-settings.js'

/** Passes over the images that routers get, as in the paper's experiments. */
const routerEpochs = 100

/**
 * Puts what separate training needs into a configuration: an expert for each class, gates of 1 (eq. 3) unless told
 * otherwise, routers that are not trained with the experts, and how they are trained before.
 *
 * @param classes of the training images
 * @throws UsageError where separate training cannot be had, or its flags are given without it
 */
export function fitSeparateRouters(draft: Draft, flags: GivenFlags, classes: number): void {
  const training = draft.training as Draft
  if (training.routerTraining !== 'separate') {
    for (const [name, flag] of Object.entries(routerFlags)) {
      if (training[name] === undefined) continue
      throw new UsageError(
        `train: ${flag} must come with --router-training separate, got joint training of the routers`,
      )
    }
    return
  }
  if (classes % 2 !== 0) {
    throw new UsageError(
      `train: --router-training separate must be used with an even number of classes, as they are paired, got ${classes}`,
    )
  }
  const options = (draft.model as { options: Draft }).options
  if (flags.experts !== undefined && flags.experts !== classes) {
    throw new UsageError(
      `train: --experts must be the number of classes, ${classes}, with --router-training separate, got ${flags.experts}`,
    )
  }
  options.numExperts = classes
  if (flags.gate === undefined) options.gate = 'uniform'
  options.routerTrainable = false
  training.routerEpochs ??= routerEpochs
  training.routerBatchSize ??= training.batchSize
  training.routerLearningRate ??= training.learningRate
}

const routerFlags: Readonly<Record<string, string>> = {
  routerEpochs: '--router-epochs',
  routerBatchSize: '--router-batch-size',
  routerLearningRate: '--router-lr',
}
