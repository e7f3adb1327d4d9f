import { describe, expect, it } from 'vitest'
import { mixtureProspect } from '../../src/models/mixture-prospects.js'

const expected = (fieldShare: number, objectShare?: number, images?: number) =>
  mixtureProspect({
    fieldShare,
    ...(objectShare !== undefined && { objectShare }),
    ...(images !== undefined && { images }),
  }).expect

describe('what to expect of a mixture', () => {
  it('is a gain where a cell sees the object and little more, and nothing where it sees a part or everything', () => {
    // An object of a quarter of the image has half its side: these are 0.8, 2.7 and 6.7 times as much.
    expect([0.4, 1.35, 3.35].map(field => expected(field, 0.25))).toEqual(['nothing', 'a gain', 'nothing'])
    // One that fills the image: 0.5, 1.5 and 3.3 times.
    expect([0.5, 1.5, 3.3].map(field => expected(field, 1))).toEqual(['nothing', 'little', 'little'])
    // Half of it: 4.7 times. Between what was measured: of a quarter 1.1 and 5.5 times.
    expect(expected(3.3, 0.5)).toBe('a gain')
    expect([0.55, 2.75].map(field => expected(field, 0.25))).toEqual(['unknown', 'unknown'])
  })

  it('is nothing with too few images, and unknown with few', () => {
    const withImages = (images: number) => expected(1.35, 0.25, images)
    expect([24, 25, 100].map(withImages)).toEqual(['unknown', 'a gain', 'a gain'])
    // Of a tenth of the image, 2.5 times its side.
    const ofSmall = (images: number) => expected(0.8, 0.1, images)
    expect([25, 26, 399, 400].map(ofSmall)).toEqual(['nothing', 'unknown', 'unknown', 'a gain'])
    // Of a twentieth: with 100 images neither layer learned them, with more nobody tried.
    expect([100, 101].map(images => expected(0.4, 0.05, images))).toEqual(['nothing', 'unknown'])
    expect(expected(1.35, undefined, 10)).toBe('nothing')
  })

  it('says for which objects, where their size is not known', () => {
    const { expect: answer, objects, because } = mixtureProspect({ fieldShare: 1.3 })
    expect(answer).toBe('depends')
    // A tenth, since (1.3 / 4.7)^2 is less, and (1.3 / 1.3)^2.
    expect(objects?.[0]).toBe(0.1)
    expect(objects?.[1]).toBeCloseTo(1, 12)
    expect(because).toBe(
      "a cell of its map sees 130 % of the image's side; gains were found for objects that fill 10 to 100 % of it",
    )
    // (2 / 4.7)^2; objects smaller than a tenth gained nowhere.
    expect(mixtureProspect({ fieldShare: 2 }).objects?.[0]).toBeCloseTo(0.1811, 4)
    expect(mixtureProspect({ fieldShare: 0.28 }).expect).toBe('unknown')
    expect(expected(0.28, 0.01)).toBe('unknown')
    expect(expected(0.28, 0.25)).toBe('nothing')
  })

  it('is nothing where a cell sees far more than the image, whatever is known besides', () => {
    for (const objectShare of [undefined, 0.01, 0.5, 1]) {
      for (const images of [undefined, 10, 1000]) expect(expected(6, objectShare, images)).toBe('nothing')
    }
    expect(mixtureProspect({ fieldShare: 6 }).because).toBe(
      "a cell of its map sees 600 % of the image's side, and so all of the image wherever it stands",
    )
  })

  it('is unknown where it is not known what a cell sees', () => {
    expect(mixtureProspect({ images: 100, objectShare: 0.1 })).toEqual({
      expect: 'unknown',
      because: 'how much of the image a cell of its map sees is not known',
    })
  })
})
