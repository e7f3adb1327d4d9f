import type * as tfl from '@tensorflow/tfjs-layers'
import { whileSilenced } from '../prune/masked-network.js'
import { chosenMixtures } from '../prune/mixtures/find-mixtures.js'
import type { ExpertPlace } from './description.js'

/**
 * Calls `run` while some experts of a network answer 0; until what it promises is there, nothing else must compute with the network.
 *
 * @throws RangeError when one is no expert of a mixture of the network
 */
export function withExpertsOff<Result>(
  model: tfl.LayersModel,
  off: readonly ExpertPlace[],
  where: string,
  run: () => Promise<Result>,
): Promise<Result> {
  if (off.length === 0) return run()
  const paths = [...new Set(off.map(({ mixture }) => mixture))]
  const cuts = chosenMixtures(model, paths, where).map(mixture => {
    const { path, numExperts } = mixture
    const gone = new Set(off.flatMap(place => (place.mixture === path ? [place.expert] : [])))
    for (const expert of gone) {
      if (Number.isInteger(expert) && expert >= 0 && expert < numExperts) continue
      throw new RangeError(
        `${where}: expert must be an integer in [0, ${numExperts - 1}], got ${expert} (mixture ${path})`,
      )
    }
    const kept = Array.from({ length: numExperts }, (_, expert) => expert).filter(expert => !gone.has(expert))
    return { mixture, cut: { kept, operator: 'zero' as const } }
  })
  return whileSilenced(cuts, run)
}
