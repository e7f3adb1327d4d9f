import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { composeGrid } from '../../src/data/compose/compose.js'
import { composeOnBackgrounds } from '../../src/data/compose/compose-backgrounds.js'
import type { PixelSet } from '../../src/data/image-set.js'
import { random } from '../../src/random.js'
import type { ImageShape } from '../../src/shapes.js'
import { alternate } from '../alternate.js'
import type { ComposingJob } from '../jobs.js'

/**
 * Times `quadrants` (32x32 RGB out of four images of 16x16), `backgrounds` (32x32 RGB: one of 16x16 on a background) and
 * `patch grids` (112x112 grey out of 4x4 images of 28x28; a tenth as many). Facts: `images`, `patch grids` of one run.
 */
export async function measureComposing(job: ComposingJob): Promise<Omit<ChildReport, 'software'>> {
  const small = noise([16, 16, 3])
  const digits = noise([28, 28, 1])
  const backgrounds = noise([32, 32, 3])
  const roles = { targets: [0, 1, 2, 3], distractors: [4, 5, 6, 7, 8, 9], seed: 1 }
  const grids = Math.ceil(job.images / 10)
  const seconds = await alternate(
    [
      {
        name: 'quadrants',
        run: () => void composeGrid({ ...roles, pool: small, grid: [2, 2], count: job.images }),
      },
      {
        name: 'backgrounds',
        run: () => void composeOnBackgrounds({ ...roles, pool: small, backgrounds, count: job.images }),
      },
      {
        name: 'patch grids',
        run: () => void composeGrid({ ...roles, pool: digits, grid: [4, 4], count: grids }),
      },
    ],
    job,
  )
  return { seconds, facts: { images: job.images, 'patch grids': grids } }
}

/** A pool of ten classes. */
function noise(shape: ImageShape): PixelSet {
  const count = 2000
  const chance = random(1, 'pool')
  const [height, width, channels] = shape
  return {
    images: Uint8Array.from({ length: count * height * width * channels }, () => chance.below(256)),
    labels: Int32Array.from({ length: count }, (_, i) => i % 10),
    count,
    shape,
    classNames: Array.from({ length: 10 }, (_, label) => `class ${label}`),
  }
}
