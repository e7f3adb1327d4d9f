import { type Cluster, summed } from './cluster.js'

/** Right predictions among the images of each class or group. */
export class Tally {
  private readonly hits: number[]
  private readonly images: number[]

  constructor(parts: number) {
    this.hits = new Array<number>(parts).fill(0)
    this.images = new Array<number>(parts).fill(0)
  }

  count(part: number, isRight: boolean): void {
    this.images[part] = (this.images[part] ?? 0) + 1
    if (isRight) this.hits[part] = (this.hits[part] ?? 0) + 1
  }

  /** The right predictions of all parts, then the images of all. */
  get counts(): readonly number[] {
    return [...this.hits, ...this.images]
  }

  set counts(counts: readonly number[]) {
    const parts = this.hits.length
    this.hits.splice(0, parts, ...counts.slice(0, parts))
    this.images.splice(0, parts, ...counts.slice(parts))
  }

  get right(): number {
    return this.hits.reduce((sum, hits) => sum + hits, 0)
  }

  shares(): number[] {
    return this.hits.map((hits, part) => hits / (this.images[part] ?? 0))
  }

  worst(): number {
    return Math.min(...this.shares().filter(share => !Number.isNaN(share)))
  }
}

/** Adds up what the workers have counted of their parts, in place; returns the sum of their losses. */
export async function sumOverWorkers(
  cluster: Cluster,
  lossSum: number,
  tallies: readonly Tally[],
): Promise<number> {
  const [loss = Number.NaN, ...numbers] = await summed(cluster, [
    lossSum,
    ...tallies.flatMap(({ counts }) => counts),
  ])
  for (const tally of tallies) tally.counts = numbers.splice(0, tally.counts.length)
  return loss
}
