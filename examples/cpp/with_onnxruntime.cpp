// Runs .onnx files with onnxruntime.
#include <onnxruntime_cxx_api.h>

#include <stdexcept>

#include "network.hpp"

namespace {

class OnnxNetwork : public Network {
public:
    OnnxNetwork(const std::string& path, int threads) {
        Ort::SessionOptions options;
        options.SetIntraOpNumThreads(threads);
        session_ = Ort::Session(environment_, path.c_str(), options);
        Ort::AllocatorWithDefaultOptions memory;
        const Ort::ModelMetadata metadata = session_.GetModelMetadata();
        for (const auto& key : metadata.GetCustomMetadataMapKeysAllocated(memory))
            about[key.get()] = metadata.LookupCustomMetadataMapAllocated(key.get(), memory).get();
        const Ort::TypeInfo taken = session_.GetInputTypeInfo(0);
        const auto shape = taken.GetTensorTypeAndShapeInfo().GetShape();
        bytes = taken.GetTensorTypeAndShapeInfo().GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
        const int first = bytes ? 1 : 2;
        if (shape.size() == 4 && shape[first] > 0 && shape[first + 1] > 0)
            fixed = Size{int(shape[first]), int(shape[first + 1])};
    }

    Map run(const std::vector<float>& floats, const std::vector<unsigned char>& pixels, Size size) override {
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        const std::array<int64_t, 4> planes{1, 3, size[0], size[1]}, rows{1, size[0], size[1], 3};
        // The tensor is a view: onnxruntime reads the numbers where they are.
        Ort::Value image =
            bytes ? Ort::Value::CreateTensor<uint8_t>(memory, const_cast<unsigned char*>(pixels.data()), pixels.size(),
                                                      rows.data(), rows.size())
                  : Ort::Value::CreateTensor<float>(memory, const_cast<float*>(floats.data()), floats.size(),
                                                    planes.data(), planes.size());
        const char *in = "image", *out = "depth";
        const auto given = session_.Run(Ort::RunOptions{}, &in, &image, 1, &out, 1);
        const auto shape = given[0].GetTensorTypeAndShapeInfo().GetShape();
        const float* values = given[0].GetTensorData<float>();
        return {{int(shape[2]), int(shape[3])}, {values, values + shape[2] * shape[3]}};
    }

private:
    Ort::Env environment_{ORT_LOGGING_LEVEL_WARNING, "depth"};
    Ort::Session session_{nullptr};
};

}  // namespace

std::unique_ptr<Network> open_network(const std::string& path, int threads) {
    return std::make_unique<OnnxNetwork>(path, threads);
}
