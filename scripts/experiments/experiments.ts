import { ablation } from './ablation.js'
import { bound } from './bound.js'
import { clusters } from './clusters.js'
import type { Experiment } from './experiment.js'
import { fig4 } from './fig4.js'
import { fig5 } from './fig5.js'
import { fig6 } from './fig6.js'
import { fig7 } from './fig7.js'
import { fig8 } from './fig8.js'
import { fig9 } from './fig9.js'
import { fig10 } from './fig10.js'
import { fig11 } from './fig11.js'
import { fig12 } from './fig12.js'
import { fig14 } from './fig14.js'
import { fig15 } from './fig15.js'
import { fig16 } from './fig16.js'
import { localise } from './localise.js'
import { megapixel } from './megapixel.js'
import { pruning } from './pruning.js'
import { table1 } from './table1.js'
import { terms } from './terms.js'
import { transfer } from './transfer.js'

/** Every experiment. A new one is one file and one line here. */
export const experiments: readonly Experiment[] = [
  fig4,
  fig5,
  fig6,
  fig7,
  fig8,
  fig9,
  fig10,
  fig11,
  fig12,
  fig14,
  fig15,
  fig16,
  table1,
  ablation,
  clusters,
  pruning,
  bound,
  megapixel,
  localise,
  transfer,
  terms,
]

/** Other names of experiments: Table 2 comes out of the runs of Figure 12. */
const aliases: Readonly<Record<string, string>> = { table2: 'fig12' }

/**
 * The experiment of a name.
 *
 * @throws RangeError listing the names when there is none
 */
export function experimentNamed(name: string): Experiment {
  const match = experiments.find(experiment => experiment.name === (aliases[name] ?? name))
  if (match) return match
  const names = [...experiments.map(experiment => experiment.name), ...Object.keys(aliases)].join(', ')
  throw new RangeError(`study: name must be one of ${names}, got ${name}`)
}
