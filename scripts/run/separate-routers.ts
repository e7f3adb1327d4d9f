import { type PlannedRun, withNetwork } from '../../src/run/run-config.js'
import { UsageError } from '../terminal/usage-error.js'
import { flagOf, type GivenFlags } from './train-settings.js'

/** Passes over the images in the training of routers, as in the paper's experiments. */
const routerEpochs = 100

/**
 * Puts what separate training needs into a configuration: an expert for each class, gates of 1 (eq. 3) unless told
 * otherwise, routers that are not trained with the experts, and the settings of their own training.
 *
 * @param classes of the training images
 * @throws UsageError where separate training is impossible, or its flags are given without it
 */
export function withSeparateRouters(run: PlannedRun, flags: GivenFlags, classes: number): PlannedRun {
  const { training, model } = run
  const { options } = model
  if (training.routerTraining !== 'separate' || options.kind !== 'two-layer') {
    refuseRouterSettings(training)
    return run
  }
  checkExperts(flags, classes)
  const { batchSize, learningRate } = training
  const gate = flags.gate === undefined ? 'uniform' : options.gate
  const changed = withNetwork(run, { ...options, numExperts: classes, gate, routerTrainable: false })
  const defaults = { routerEpochs, routerBatchSize: batchSize, routerLearningRate: learningRate }
  return { ...changed, training: { ...defaults, ...training } }
}

function refuseRouterSettings(training: PlannedRun['training']): void {
  for (const name of ['routerEpochs', 'routerBatchSize', 'routerLearningRate'] as const) {
    if (training[name] === undefined) continue
    throw new UsageError(
      `train: ${flagOf(name)} must come with --router-training separate, got joint training of the routers`,
    )
  }
}

function checkExperts({ experts }: GivenFlags, classes: number): void {
  if (classes % 2 !== 0) {
    throw new UsageError(
      `train: --router-training separate must be used with an even number of classes, as they are paired, got ${classes}`,
    )
  }
  if (experts !== undefined && experts !== classes) {
    throw new UsageError(
      `train: --experts must be the number of classes, ${classes}, with --router-training separate, got ${experts}`,
    )
  }
}
