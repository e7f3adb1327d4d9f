import type * as tfl from '@tensorflow/tfjs-layers'
import type { TrainEvent } from '../events.js'
import { train } from '../loop.js'
import { checkOptions, type TrainOptions } from '../train-options.js'
import { checkRouterTraining, freezeRouters, type RouterTraining, trainRouters } from './routers.js'

/** What is trained separately, and how. */
export interface SeparateTrainOptions extends TrainOptions {
  readonly routers: RouterTraining
}

/**
 * Separate training (Algorithm 1; Chowdhury et al., ICML 2023, appendix B): trains the routers by `trainRouters`, freezes
 * them, and trains the experts by `train`.
 *
 * The routers have no checkpoints of their own: a run that was stopped before its first checkpoint begins anew and gets
 * the same routers; a run that resumes has them in its state.
 *
 * @yields a `routers` event for each epoch of the routers, then the events of `train`; a run that is aborted among the
 *   routers ends with `stop` (epoch 1, step 0) and `end`
 * @throws RangeError as `trainRouters` and `train`
 */
export async function* trainSeparately(
  model: tfl.LayersModel,
  { routers, ...options }: SeparateTrainOptions,
): AsyncGenerator<TrainEvent> {
  checkOptions(options)
  checkRouterTraining(routers)
  if (options.resume) {
    freezeRouters(model)
    yield* train(model, options)
    return
  }
  const { train: images, seed, signal } = options
  let seconds = 0
  let epochsDone = 0
  for await (const event of trainRouters(model, {
    ...routers,
    train: images,
    seed,
    ...(signal && { signal }),
  })) {
    seconds += event.seconds
    epochsDone = event.epoch
    yield event
  }
  if (epochsDone < routers.epochs) {
    yield { type: 'stop', reason: 'aborted', epoch: 1, step: 0 }
    yield { type: 'end', history: [], seconds }
    return
  }
  yield* train(model, options)
}
