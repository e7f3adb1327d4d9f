import { expertTitle } from './expert-title.js'

/** What one layer that sends whole samples to experts did with one image. */
export interface ChosenExperts {
  /** Name of the layer. */
  readonly layer: string
  /** Names of all its experts, by number. */
  readonly names: readonly string[]
  /** Numbers of the experts that computed the image, best first. */
  readonly experts: readonly number[]
  /** What multiplied their outputs, in the order of `experts`. */
  readonly gates: readonly number[]
  /** The score of every expert. */
  readonly scores: readonly number[]
}

/** What people call an expert of a layer. */
export function chosenTitle({ names }: ChosenExperts, expert: number): string {
  const name = names[expert]
  return expertTitle(name === undefined ? undefined : { name }, expert)
}

/** The choice in a sentence's words: `expert 3 (gate 0.84)`, of several experts joined by commas. */
export function chosenText(choice: ChosenExperts): string {
  return choice.experts
    .map(
      (expert, i) =>
        `${chosenTitle(choice, expert)} (gate ${(choice.gates[i] ?? Number.NaN).toPrecision(2)})`,
    )
    .join(', ')
}
