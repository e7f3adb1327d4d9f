import { createAvatar, type Style } from '@dicebear/core'
import * as lorelei from '@dicebear/lorelei'
import * as pixelArt from '@dicebear/pixel-art'
import { type Random, random } from '../../src/random.js'

/** Colours of hair; of these CelebA names four. */
export type HairColour = 'black' | 'blond' | 'brown' | 'grey' | 'red'

/** What is true of a drawn face. */
export interface FaceTraits {
  readonly smiling: boolean
  readonly eyeglasses: boolean
  readonly hair: HairColour
}

/** A face, drawn. */
export interface DrawnFace {
  /** 178 wide and 218 high, as CelebA's images are. */
  readonly svg: string
  readonly earrings: boolean
}

/** Width and height of CelebA's aligned images, in pixels. */
export const faceSize = { width: 178, height: 218 } as const

/**
 * Draws a face with the given traits; everything else about it is random.
 *
 * @param seed the same seed draws the same face
 */
export function drawFace({ smiling, eyeglasses, hair }: FaceTraits, seed: number): DrawnFace {
  const chance = random(seed, 'face')
  const style = chance.below(2) === 0 ? loreleiFace : pixelArtFace
  const earrings = chance.next() < 0.15
  const { avatar, options, box } = style
  const drawn = createAvatar(avatar as Style<object>, {
    seed: String(seed),
    size: box.side,
    ...options({ mouth: smiling ? 'smile' : 'none', eyeglasses, colour: pick(chance, hairColours[hair]) }),
    [style.earrings]: earrings ? 100 : 0,
  })
  return { svg: framed(drawn.toString(), box, chance), earrings }
}

/** Where the face of a style lies before it is moved: the side and the top of its square, in pixels. */
interface FaceBox {
  readonly side: number
  readonly top: number
}

/** A style, limited to the parts that show a trait unambiguously. */
interface FaceStyle {
  readonly avatar: unknown
  readonly box: FaceBox
  /** Name of the option that is the chance of earrings, in percent. */
  readonly earrings: string
  options(traits: {
    readonly mouth: 'smile' | 'none'
    readonly eyeglasses: boolean
    readonly colour: string
  }): object
}

const hairColours: Readonly<Record<HairColour, readonly string[]>> = {
  black: ['0b0908', '14110f', '1a1614', '101018'],
  blond: ['f2dd94', 'ecd07a', 'e3c367', 'f6e6b0'],
  brown: ['6a4128', '7b4a2b', '8a5a3a', '5a3420'],
  grey: ['a9a9a9', 'bcbcbc', '939393'],
  red: ['b23a16', 'c24a1e', '9c2f14'],
}

const skins = ['f7dcc4', 'f2d3b1', 'e8bd94', 'd9a06c', 'c58650', 'a9683a', '8a4f2a']

/** Neither black nor blond, so that hair stands out. */
const backgrounds = [
  'b6d0ee',
  'c9b6ee',
  'eeb6cf',
  'a8d8c0',
  '8fb4a6',
  '7f93b8',
  'd6d6de',
  'c98f7d',
  'a3b86c',
  '6f9fb5',
]

const loreleiFace: FaceStyle = {
  avatar: lorelei,
  box: { side: 178, top: 32 },
  earrings: 'earringsProbability',
  options: ({ mouth, eyeglasses, colour }) => ({
    mouth:
      mouth === 'smile'
        ? numbered('happy', [1, 2, 3, 5, 6, 7, 9, 12, 16])
        : numbered('sad', [1, 2, 3, 4, 5, 6, 7, 9]),
    // Without the bald heads, and without the hair that covers an eye.
    hair: numbered('variant', range(1, 48), [15, 16, 21, 25, 27, 28, 34, 40, 41, 45]),
    hairColor: [colour],
    glassesProbability: eyeglasses ? 100 : 0,
    glassesColor: ['000000', '2b2b33', '402020'],
    skinColor: skins,
    frecklesProbability: 15,
    beardProbability: 0,
    hairAccessoriesProbability: 0,
  }),
}

const pixelArtFace: FaceStyle = {
  avatar: pixelArt,
  box: { side: 178, top: 26 },
  earrings: 'accessoriesProbability',
  options: ({ mouth, eyeglasses, colour }) => ({
    mouth: mouth === 'smile' ? numbered('happy', [6, 7, 8, 9]) : numbered('sad', [1, 4, 5, 6, 7, 8, 9]),
    // Red, so that mouths stand out from every skin.
    mouthColor: ['c4161c', 'a30f2d', 'd1123a'],
    hair: [
      ...numbered('short', range(1, 24), [5, 7, 9, 10, 12, 18, 20, 21, 23]),
      ...numbered('long', range(1, 21)),
    ],
    hairColor: [colour],
    hatProbability: 0,
    beardProbability: 0,
    glassesProbability: eyeglasses ? 100 : 0,
    glasses: [...numbered('light', range(1, 7), [4]), ...numbered('dark', range(1, 7), [4])],
    glassesColor: ['191919', '323232', '2f4a5c', '5e2436'],
    skinColor: skins,
  }),
}

/** Puts a face into CelebA's frame: a background, then the face moved, scaled, turned and mirrored a little. */
function framed(face: string, { side, top }: FaceBox, chance: Random): string {
  const { width, height } = faceSize
  const [x, y] = [between(chance, -9, 9), between(chance, -10, 10)]
  const scale = between(chance, 0.88, 1.14)
  const mirror = chance.below(2) === 0 ? 1 : -1
  const turn = between(chance, -7, 7)
  const [middleX, middleY] = [width / 2, top + side / 2]
  const moves = [
    `translate(${middleX + x} ${middleY + y})`,
    `rotate(${turn})`,
    `scale(${mirror * scale} ${scale})`,
    `translate(${-side / 2} ${-side / 2})`,
  ]
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    background(chance) +
    `<g transform="${moves.join(' ')}">${face}</g></svg>`
  )
}

/** A background of one colour, or of one that turns into another from top to bottom. */
function background(chance: Random): string {
  const [upper, lower] = [pick(chance, backgrounds), pick(chance, backgrounds)]
  const fill = chance.below(2) === 0 ? `#${upper}` : 'url(#back)'
  return (
    `<defs><linearGradient id="back" x2="0" y2="1"><stop stop-color="#${upper}"/>` +
    `<stop offset="1" stop-color="#${lower}"/></linearGradient></defs>` +
    `<rect width="${faceSize.width}" height="${faceSize.height}" fill="${fill}"/>`
  )
}

function numbered(stem: string, numbers: readonly number[], without: readonly number[] = []): string[] {
  return numbers
    .filter(number => !without.includes(number))
    .map(number => stem + String(number).padStart(2, '0'))
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

function pick<T>(chance: Random, values: readonly T[]): T {
  return values[chance.below(values.length)] as T
}

function between(chance: Random, least: number, most: number): number {
  return Math.round((least + chance.next() * (most - least)) * 1000) / 1000
}
