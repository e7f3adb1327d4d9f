import sharp from 'sharp'

/** Renders a figure as PNG at twice its size, on white, trimmed to a narrow margin. */
export async function figurePng(svg: string): Promise<Uint8Array> {
  const background = '#ffffff'
  const whole = await sharp(Buffer.from(svg), { density: 144 }).flatten({ background }).png().toBuffer()
  const margin = 16
  return sharp(whole)
    .trim({ background })
    .extend({ top: margin, bottom: margin, left: margin, right: margin, background })
    .png({ palette: true })
    .toBuffer()
}
