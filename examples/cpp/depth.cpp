// Depth of a photograph with a file that kdcli exported:
//
//     depth MODEL PHOTO.png OUT [--npy] [--threads N]
//
// writes OUT.colour.png (near is warm) and depth at the photograph's size: OUT.depth.png, 16 bits, 0 = none, where it is
// in metres, else (and with --npy) OUT.depth.npy, float32.
#include <cstring>
#include <iostream>

#include "pictures.hpp"
#include "resize.hpp"

// The numbers behind a key of a JSON object: enough for what kdcli writes.
static std::vector<double> numbers_in(const std::string& json, const std::string& key) {
    std::vector<double> found;
    const size_t at = key.empty() ? 0 : json.find("\"" + key + "\": [");
    if (at == std::string::npos) return found;
    const char* here = json.c_str() + json.find('[', at) + 1;
    for (char* end; ; here = end + 1) {
        found.push_back(std::strtod(here, &end));
        if (end == here) return {};
        if (*end != ',') return found;
    }
}

// The size at which a network is shown a picture: its own, or the one it was made for, or the picture's.
static Size size_for(const Network& network, Size picture) {
    if (network.fixed) return *network.fixed;
    const auto entry = network.about.find("made_for");
    const std::string made_for = entry == network.about.end() ? "" : entry->second;
    const auto own = numbers_in(made_for, "eval_size");
    if (own.size() != 2) return picture;
    const bool within = made_for.find("\"fit\": \"within\"") != std::string::npos;
    if (!within && made_for.find("\"fit\": \"around\"") == std::string::npos) return {int(own[0]), int(own[1])};
    const double down = own[0] / picture[0], across = own[1] / picture[1];
    const double factor = within ? std::min(down, across) : std::max(down, across);
    Size size{};
    for (int i = 0; i < 2; i++) size[i] = std::max(int(std::nearbyint(picture[i] * factor / 32)), 1) * 32;
    return size;
}

static Map depth_of(Network& network, const Picture& picture) {
    const Size shown = size_for(network, picture.size);
    const size_t count = size_t(shown[0]) * shown[1], pixels = picture.rgb.size() / 3;
    std::vector<float> floats(3 * count);
    std::vector<unsigned char> bytes(3 * count);
    for (size_t colour = 0; colour < 3; colour++) {
        Map plane{picture.size, std::vector<float>(pixels)};
        for (size_t i = 0; i < pixels; i++) plane.values[i] = picture.rgb[3 * i + colour] / 255.0f;
        plane = resized(plane, shown);
        std::copy(plane.values.begin(), plane.values.end(), &floats[colour * count]);
        for (size_t i = 0; i < count; i++) bytes[3 * i + colour] = (unsigned char)std::nearbyint(plane.values[i] * 255);
    }
    return resized(network.run(floats, bytes, shown), picture.size);
}

// Larger is nearer, in the terms of a kind; not a number where a value is none.
static float nearness(float value, const std::string& kind) {
    if (!std::isfinite(value)) return NAN;
    if (kind == "affine_disparity") return value;
    if (kind == "affine_depth") return -value;
    return value > 0 ? 1 / value : NAN;
}

static Picture coloured(const Map& depth, const std::string& kind) {
    static const unsigned spectral[] = {0x5e4fa2, 0x3288bd, 0x66c2a5, 0xabdda4, 0xe6f598, 0xffffbf,
                                        0xfee08b, 0xfdae61, 0xf46d43, 0xd53e4f, 0x9e0142};  // from far to near
    std::vector<float> sorted;
    for (const float value : depth.values)
        if (const float near = nearness(value, kind); !std::isnan(near)) sorted.push_back(near);
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double share) { return sorted.empty() ? 0 : sorted[size_t(share * double(sorted.size() - 1))]; };
    const float far = at(0.02), near = at(0.98);
    Picture picture{depth.size, std::vector<unsigned char>(3 * depth.values.size(), 128)};
    for (size_t i = 0; i < depth.values.size(); i++) {
        const float value = nearness(depth.values[i], kind);
        if (std::isnan(value)) continue;
        const float place = std::clamp((value - far) / std::max(near - far, 1e-12f), 0.0f, 1.0f) * 10;
        const int below = std::min(int(place), 9);
        for (int colour = 0; colour < 3; colour++) {
            const int shift = 16 - 8 * colour;
            const float a = float(spectral[below] >> shift & 255), b = float(spectral[below + 1] >> shift & 255);
            picture.rgb[3 * i + size_t(colour)] = (unsigned char)std::lround(a + (b - a) * (place - float(below)));
        }
    }
    return picture;
}

static void write_depth(const Map& depth, const Network& network, const std::string& out, bool floats) {
    const auto range = numbers_in(network.about.at("depth_range"), "");
    const double furthest = range.size() == 2 ? range[1] : INFINITY;
    const bool metric = network.about.at("depth_kind") == "metric" && furthest <= 255;
    if (floats || !metric) write_npy(out + ".depth.npy", depth);
    if (!metric) return;
    const double steps = furthest <= 65 ? 1000 : 256;  // to the metre: whole millimetres reach 65 m
    std::vector<uint16_t> whole;
    for (const float value : depth.values) {
        const bool known = std::isfinite(value) && value > 0;
        whole.push_back(uint16_t(known ? std::clamp(std::nearbyint(value * steps), 0.0, 65535.0) : 0));
    }
    write_png16(out + ".depth.png", whole, depth.size);
}

int main(int count, char** words) try {
    std::vector<std::string> names;
    bool floats = false;
    int threads = 0;
    for (int i = 1; i < count; i++) {
        if (!std::strcmp(words[i], "--npy")) floats = true;
        else if (!std::strcmp(words[i], "--threads") && i + 1 < count) threads = std::atoi(words[++i]);
        else names.push_back(words[i]);
    }
    if (names.size() != 3) {
        std::cerr << "usage: depth MODEL PHOTO.png OUT [--npy] [--threads N]\n";
        return 2;
    }
    const auto network = open_network(names[0], threads);
    if (!network->about.count("depth_kind") || !network->about.count("depth_range"))
        throw std::runtime_error(names[0] + " does not say what its numbers mean; give a file that kdcli export wrote");
    const std::string kind = network->about["depth_kind"], unit = network->about["unit"];
    const Map depth = depth_of(*network, read_png(names[1]));
    write_png(names[2] + ".colour.png", coloured(depth, kind));
    write_depth(depth, *network, names[2], floats);
    const auto [low, high] = std::minmax_element(depth.values.begin(), depth.values.end());
    std::cout << names[1] << ": " << *low << " to " << *high << " " << unit << " (" << kind << ")\n";
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
