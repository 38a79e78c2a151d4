// Runs .xml files (with their .bin) with OpenVINO, on Intel's and other CPUs.
#include <algorithm>
#include <openvino/openvino.hpp>

#include "network.hpp"

namespace {

class OpenvinoNetwork : public Network {
public:
    OpenvinoNetwork(const std::string& path, int threads) {
        ov::Core core;
        const auto graph = core.read_model(path);
        if (graph->has_rt_info("kdcli"))
            for (const auto& [key, value] : graph->get_rt_info<ov::AnyMap>("kdcli")) about[key] = value.as<std::string>();
        const auto& shape = graph->input("image").get_partial_shape();
        bytes = graph->input("image").get_element_type() == ov::element::u8;
        const int first = bytes ? 1 : 2;
        if (shape[first].is_static() && shape[first + 1].is_static())
            fixed = Size{int(shape[first].get_length()), int(shape[first + 1].get_length())};
        // On newer processors it computes in bfloat16 unless told.
        ov::AnyMap told{ov::hint::inference_precision(ov::element::f32)};
        if (threads > 0) told.insert(ov::inference_num_threads(threads));
        request_ = core.compile_model(graph, "CPU", told).create_infer_request();
    }

    Map run(const std::vector<float>& floats, const std::vector<unsigned char>& pixels, Size size) override {
        const size_t height = size[0], width = size[1];
        ov::Tensor image = bytes ? ov::Tensor(ov::element::u8, {1, height, width, 3})
                                 : ov::Tensor(ov::element::f32, {1, 3, height, width});
        if (bytes)
            std::copy(pixels.begin(), pixels.end(), static_cast<unsigned char*>(image.data()));
        else
            std::copy(floats.begin(), floats.end(), static_cast<float*>(image.data()));
        request_.set_tensor("image", image);
        request_.infer();
        const ov::Tensor depth = request_.get_tensor("depth");
        const ov::Shape shape = depth.get_shape();
        const auto* values = static_cast<const float*>(depth.data());
        return {{int(shape[2]), int(shape[3])}, {values, values + shape[2] * shape[3]}};
    }

private:
    ov::InferRequest request_;
};

}  // namespace

std::unique_ptr<Network> open_network(const std::string& path, int threads) {
    return std::make_unique<OpenvinoNetwork>(path, threads);
}
