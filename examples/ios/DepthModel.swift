// Depth of camera frames on iPhones, iPads and Macs with Core ML and a package that kdcli exported; see README.md.
import CoreML
import CoreVideo
import Vision

/// Depth row by row, and what its numbers mean: kind as kdcli names it, unit "m" or none.
struct DepthMap {
    let values: [Float]
    let height: Int
    let width: Int
    let kind: String
    let unit: String

    /// The value at a place of the upright picture, x and y in 0..1.
    func at(x: Double, y: Double) -> Float {
        let column = min(max(Int(x * Double(width)), 0), width - 1)
        let row = min(max(Int(y * Double(height)), 0), height - 1)
        return values[row * width + column]
    }
}

enum DepthError: Error {
    case notOfKdcli, otherInput(String), nothingGiven
}

/// A model that Xcode compiled, opened once: `DepthModel(contentsOf: Small.urlOfModelInThisBundle)`.
final class DepthModel {
    static let input = "image"
    static let output = "depth"
    static let height = 240
    static let width = 320

    private let request: VNCoreMLRequest
    private let kind: String
    private let unit: String

    init(contentsOf url: URL, computeUnits: MLComputeUnits = .all) throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        let model = try MLModel(contentsOf: url, configuration: configuration)
        let description = model.modelDescription
        let about = description.metadata[.creatorDefinedKey] as? [String: String] ?? [:]
        guard let kind = about["depth_kind"] else { throw DepthError.notOfKdcli }
        self.kind = kind
        unit = about["unit"] ?? ""
        guard let taken = description.inputDescriptionsByName[Self.input]?.imageConstraint,
              taken.pixelsHigh == Self.height, taken.pixelsWide == Self.width
        else { throw DepthError.otherInput(about["size"] ?? "unknown size") }
        request = VNCoreMLRequest(model: try VNCoreMLModel(for: model))
        request.imageCropAndScaleOption = .scaleFill  // stretched, as the network's own images were
    }

    /// Depth of a camera's buffer, upright. Vision brings it to the size and to the colours that the model takes.
    func depth(of buffer: CVPixelBuffer, orientation: CGImagePropertyOrientation = .up) throws -> DepthMap {
        try VNImageRequestHandler(cvPixelBuffer: buffer, orientation: orientation).perform([request])
        let found = request.results as? [VNCoreMLFeatureValueObservation] ?? []
        guard let array = found.first(where: { $0.featureName == Self.output })?.featureValue.multiArrayValue
        else { throw DepthError.nothingGiven }
        let depth = MLShapedArray<Float>(converting: array)  // 1 x 1 x height x width
        return DepthMap(values: depth.scalars, height: depth.shape[2], width: depth.shape[3], kind: kind, unit: unit)
    }
}
